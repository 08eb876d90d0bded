"""The loss against formulas written out here, and its gradient against finite differences."""

import numpy as np
import pytest
import torch
from fairseq2.nn import BatchLayout
from numpy.typing import NDArray
from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

from engine.errors import UserError
from engine.models.loaded import LoadedBundle, Targets
from engine.optimizer import Optimization
from engine.search import optimize
from tests.engine.toy import toy_spec

SHORT, LONG = "I like cheese.", "The big brown dog ran after the cat, and the cat sat in a tree."
Array = NDArray[np.float64]


def encode(bundle: LoadedBundle, text: str) -> Array:
    """sonar-space's own way from a text to its embedding. # (D,)"""
    pipeline = TextToEmbeddingModelPipeline(bundle.encoder, bundle.encoder_tokenizer)
    return np.asarray(pipeline.predict([text], source_lang="eng_Latn")[0], dtype=np.float64)


def decoder_cross_entropy(bundle: LoadedBundle, embedding: Array, text: str) -> float:
    """−1/T Σ log p(token | tokens before it, embedding), from the logits of `decoder(...)`."""
    tokens = bundle.decoder_tokenizer.create_encoder(lang="eng_Latn", mode="target")(text)
    source = torch.tensor(embedding, dtype=bundle.dtype).reshape(1, 1, -1)
    fed = tokens[None, :-1]
    with torch.no_grad():
        logits = bundle.decoder(source, BatchLayout.of(source), fed, BatchLayout.of(fed))[0].double().numpy()
    total = 0.0
    for row, token in zip(logits, tokens[1:].tolist(), strict=True):
        total += np.log(np.exp(row - row.max()).sum()) + row.max() - row[token]
    return float(total / len(logits))


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_terms_are_their_formulas(bundle: LoadedBundle) -> None:
    spec = toy_spec(weights={"ce": 0.5, "cosine": 2.0, "mse": 0.25})
    for row in optimize(spec, bundle):
        prediction, target = row.prediction.astype(np.float64), encode(bundle, spec.target)
        expected = {
            "ce": decoder_cross_entropy(bundle, prediction, spec.target),
            "cosine": -cosine(prediction, target),
            "mse": float(np.mean((prediction - target) ** 2)),
        }
        assert row.terms == pytest.approx(expected, rel=1e-5)
        weighted = 0.5 * expected["ce"] + 2 * expected["cosine"] + 0.25 * expected["mse"]
        assert row.loss == pytest.approx(weighted, rel=1e-5)
        assert row.similarity == pytest.approx(cosine(prediction, target), rel=1e-5)


def test_the_prediction_is_the_generators(bundle: LoadedBundle) -> None:
    row = next(optimize(toy_spec(), bundle))
    llama, projection = bundle.generator.llama, torch.nn.functional.linear
    with torch.no_grad():
        hidden = projection(
            torch.tensor(row.z), bundle.generator.forward_proj.weight, bundle.generator.forward_proj.bias
        )
        hidden = llama(inputs_embeds=hidden[None, None]).last_hidden_state[0, 0]
        expected = projection(
            hidden, bundle.generator.reverse_proj.weight, bundle.generator.reverse_proj.bias
        )
    np.testing.assert_allclose(row.prediction, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_only_terms_with_a_weight_are_reported(bundle: LoadedBundle) -> None:
    row = next(optimize(toy_spec(weights={"ce": 0.0, "cosine": 1.0}), bundle))
    assert row.terms.keys() == {"cosine"}
    assert row.loss == row.terms["cosine"] == -row.similarity


def test_the_decoder_is_evaluated_only_for_terms_that_need_it_and_in_decoded_rows(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    token_losses = LoadedBundle.token_losses

    def counted(self: LoadedBundle, embeddings: torch.Tensor, targets: Targets) -> torch.Tensor:
        calls.append(1)
        return token_losses(self, embeddings, targets)

    monkeypatch.setattr(LoadedBundle, "token_losses", counted)
    list(optimize(toy_spec(weights={"cosine": 1.0, "mse": 1.0}, steps=3, measures="quick"), bundle))
    assert len(calls) == 2  # rows 0 and 3, for their token losses
    list(optimize(toy_spec(weights={"ce": 1.0}, steps=3, measures="quick"), bundle))
    assert len(calls) == 2 + 4


def test_padding_changes_no_loss(bundle: LoadedBundle) -> None:
    specs = [toy_spec(target=SHORT), toy_spec(target=LONG)]
    together = Optimization(specs, bundle).advance()
    for row, spec in zip(together, specs, strict=True):
        expected = decoder_cross_entropy(bundle, row.prediction.astype(np.float64), spec.target)
        assert row.loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", ["initial", 0.5, "free"])
def test_gradient_is_that_of_finite_differences(double_bundle: LoadedBundle, norm: str | float) -> None:
    """Central differences in float64 of the whole loss, in every coordinate of raw z, of two runs."""
    specs = [
        toy_spec(target=SHORT, norm=norm, weights={"ce": 1.0, "cosine": 0.5, "mse": 0.1}),
        toy_spec(target=LONG, norm=norm, weights={"ce": 0.3, "cosine": 2.0}),
    ]
    optimization = Optimization(specs, double_bundle)
    generator = torch.Generator().manual_seed(1)
    raw_z = torch.randn(2, double_bundle.dim, dtype=torch.float64, generator=generator)

    point = raw_z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(optimization.evaluate(point).loss.sum(), point)

    epsilon = 1e-6
    expected = torch.empty_like(raw_z)
    with torch.no_grad():
        for i in range(double_bundle.dim):
            shift = torch.zeros_like(raw_z)
            shift[:, i] = epsilon
            difference = optimization.evaluate(raw_z + shift).loss - optimization.evaluate(raw_z - shift).loss
            expected[:, i] = difference / (2 * epsilon)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-8)
    if norm != "free":  # moving along z changes nothing where the norm is held
        along = (gradient * raw_z).sum(dim=-1)
        torch.testing.assert_close(along, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("field", "fields"),
    [("target", {"target": LONG * 9}), ("init", {"init": {"kind": "text", "text": LONG * 9}})],
)
def test_an_overlong_text_is_refused(bundle: LoadedBundle, field: str, fields: dict[str, object]) -> None:
    with pytest.raises(UserError, match=rf"^{field}: \d+ tokens; bundle toy takes at most 6[12]$"):
        optimize(toy_spec(**fields), bundle)
