"""The cross-entropy of each token of the target, against log-softmax written out here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq2.nn import BatchLayout
from torch.autograd.graph import saved_tensors_hooks

from engine.bundles import Bundle
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization
from engine.search import optimize
from engine.tokens import target_pieces
from tests.engine.toy import sentencepiece_model, toy_spec

SHORT, LONG = "I like cheese.", "The big brown dog ran after the cat, and the cat sat in a tree."


def expected_losses(
    bundle: LoadedBundle, prediction: np.ndarray[tuple[int], np.dtype[np.float32]], text: str
) -> list[float]:
    """−log p(token | tokens before it, embedding) of each token but the first, from `decoder(...)`."""
    tokens = bundle.decoder_tokenizer.create_encoder(lang="eng_Latn", mode="target")(text)
    source = torch.tensor(prediction).reshape(1, 1, -1)
    fed = tokens[None, :-1]
    with torch.no_grad():
        logits = bundle.decoder(source, BatchLayout.of(source), fed, BatchLayout.of(fed))[0].double().numpy()
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return [-float(np.log(row[token])) for row, token in zip(probabilities, tokens[1:].tolist(), strict=True)]


def test_every_row_with_cross_entropy_has_them_and_their_mean_is_the_term(bundle: LoadedBundle) -> None:
    spec = toy_spec(weights={"ce": 0.5, "cosine": 1.0}, steps=4)
    rows = list(optimize(spec, bundle))
    assert len(rows) == 5
    for row in rows:
        assert row.token_losses == pytest.approx(
            expected_losses(bundle, row.prediction, spec.target), rel=1e-4
        )
        assert row.token_losses is not None
        assert np.mean(row.token_losses) == pytest.approx(row.terms["ce"], rel=1e-6)


def test_other_objectives_have_them_in_decoded_rows(bundle: LoadedBundle) -> None:
    spec = toy_spec(weights={"cosine": 1.0}, steps=5, decode_every=2)
    rows = list(optimize(spec, bundle))
    assert [row.step for row in rows if row.token_losses is not None] == [0, 2, 4, 5]
    for row in rows:
        if row.decoded_prediction is not None:
            assert row.token_losses == pytest.approx(
                expected_losses(bundle, row.prediction, spec.target), rel=1e-4
            )


def test_where_the_objective_does_not_need_them_nothing_is_kept_for_a_gradient(bundle: LoadedBundle) -> None:
    spec = toy_spec(weights={"cosine": 1.0}, steps=2, decode_every=1)
    vocabulary = bundle.decoder_tokenizer.vocab_info.size
    kept: list[torch.Size] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.shape)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        (row,) = Optimization([spec], bundle).advance()
    assert row.token_losses is not None
    assert kept
    assert not [shape for shape in kept if shape[-1:] == (vocabulary,)]


def test_computing_them_changes_no_step(bundle: LoadedBundle) -> None:
    rare, often = (
        list(optimize(toy_spec(weights={"cosine": 1.0}, steps=4, decode_every=every), bundle))
        for every in (4, 1)
    )
    assert [row.state_hash for row in rare] == [row.state_hash for row in often]


def test_a_run_has_the_same_ones_beside_other_runs(bundle: LoadedBundle) -> None:
    specs = [
        toy_spec(target=SHORT, weights={"cosine": 1.0}, steps=3, decode_every=2),
        toy_spec(target=LONG, weights={"ce": 1.0}, steps=3, decode_every=3),
    ]
    together = Optimization(specs, bundle)
    rows = [row for _ in range(4) for row in together.advance()]
    for run, spec in enumerate(specs):
        alone = list(optimize(spec, bundle))
        beside = [row for row in rows if row.run == run]
        assert [row.step for row in beside if row.token_losses] == [
            row.step for row in alone if row.token_losses
        ]
        for one, other in zip(alone, beside, strict=True):
            assert one.token_losses == (
                None if other.token_losses is None else pytest.approx(other.token_losses, rel=1e-4, abs=1e-6)
            )


def test_the_pieces_name_them_one_by_one(bundle: LoadedBundle, tmp_path: Path) -> None:
    model = tmp_path / "tokenizer.model"
    model.write_bytes(sentencepiece_model())
    on_disk = Bundle(**{**vars(bundle.bundle), "tokenizer": str(model)})
    for target in (SHORT, LONG, "¿? 🙂 </s>"):
        pieces = target_pieces(on_disk, target)
        assert pieces is not None
        assert (pieces[0], pieces[-1]) == ("__eng_Latn__", "</s>")
        assert "".join(pieces[1:-1]) == f" {target}"
        (row,) = Optimization([toy_spec(target=target)], bundle).advance()
        assert row.token_losses is not None
        assert len(row.token_losses) == len(pieces)


def test_without_the_tokenizer_there_are_no_pieces(bundle: LoadedBundle, tmp_path: Path) -> None:
    for tokenizer in (None, str(tmp_path / "missing.model")):
        assert target_pieces(Bundle(**{**vars(bundle.bundle), "tokenizer": tokenizer}), SHORT) is None
