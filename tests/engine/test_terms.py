"""The terms about z itself, and what is done to z beside the loss: against formulas written out here."""

from itertools import chain

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.commands import parse_settings
from engine.decoding import decode
from engine.errors import UserError
from engine.measures import MEASURES
from engine.models.loaded import LoadedBundle
from engine.objective import CONSTRAINTS, TERMS
from engine.optimizer import Optimization
from engine.search import optimize
from engine.spec import steered
from engine.steps.step import Step
from tests.engine.test_objective import Array, cosine, decoder_cross_entropy, encode
from tests.engine.test_optimizer import everything, run_out
from tests.engine.toy import toy_spec

ANCHORS = ("Tom had a red ball.", "What is your name?")
INIT = "I like cheese."


def read(bundle: LoadedBundle, z: NDArray[np.float32], tokens: int = 4) -> str:
    """What a z says, as toy specs decode it."""
    return decode(bundle, torch.from_numpy(z)[None], beam=1, max_tokens=tokens)[0]


def doubled(z: NDArray[np.float32]) -> Array:
    return z.astype(np.float64)


def test_a_file_is_a_term_and_a_constraint() -> None:
    """The registries hold what the folders hold."""
    assert list(TERMS) == ["ce", "cosine", "mse", "anchor", "fluency", "prior"]
    assert sorted(CONSTRAINTS) == ["noise", "projection"]


def test_fluency_is_the_cross_entropy_of_z_for_what_it_was_last_read_as(bundle: LoadedBundle) -> None:
    spec = toy_spec(weights={"ce": 1.0, "fluency": 0.5}, read_every=3, steps=7, lr=0.05)
    text = ""
    for row in optimize(spec, bundle):
        if row.step % 3 == 0:
            text = read(bundle, row.z)
        expected = decoder_cross_entropy(bundle, doubled(row.z), text)
        assert row.terms["fluency"] == pytest.approx(expected, rel=1e-4)
        assert row.loss == pytest.approx(row.terms["ce"] + 0.5 * expected, rel=1e-4)


@pytest.mark.parametrize("to", ["round-trip", "init", "sentences", "all"])
def test_the_anchor_is_the_nearest_of_what_is_asked_for(bundle: LoadedBundle, to: str) -> None:
    options = {"anchor.to": to, "anchor.sentences": ANCHORS}
    spec = toy_spec(weights={"ce": 1.0, "anchor": 2.0}, options=options, read_every=2, steps=5, lr=0.1)
    round_trip = np.zeros(1)
    for row in optimize(spec, bundle):
        if row.step % 2 == 0:
            round_trip = encode(bundle, read(bundle, row.z))
        anchors = {
            "round-trip": [round_trip],
            "init": [encode(bundle, INIT)],
            "sentences": [encode(bundle, sentence) for sentence in ANCHORS],
        }
        asked = list(chain.from_iterable(anchors.values())) if to == "all" else anchors[to]
        distances = [np.sum((doubled(row.z) - anchor) ** 2) / np.sum(anchor**2) for anchor in asked]
        assert row.terms["anchor"] == pytest.approx(min(distances), rel=1e-4, abs=1e-6)


def test_anchors_that_are_sentences_have_to_be_given(bundle: LoadedBundle) -> None:
    with pytest.raises(UserError, match=r"^anchor\.sentences: none are given[^\n]*$"):
        Optimization([toy_spec(weights={"anchor": 1.0}, options={"anchor.to": "sentences"})], bundle)


def test_the_prior_is_the_mahalanobis_distance_a_coordinate(bundle: LoadedBundle) -> None:
    mean, variance = torch.linspace(-1, 1, bundle.dim), torch.linspace(0.5, 2, bundle.dim)
    object.__setattr__(bundle, "prior", (mean, variance))
    try:
        row = next(optimize(toy_spec(weights={"prior": 1.0}), bundle))
    finally:
        del bundle.__dict__["prior"]
    squares = (doubled(row.z) - mean.double().numpy()) ** 2 / variance.double().numpy()
    assert row.loss == pytest.approx(squares.mean(), rel=1e-5)
    with pytest.raises(UserError, match=r"^prior: bundle toy has no statistics of sentence embeddings$"):
        Optimization([toy_spec(weights={"prior": 1.0})], bundle)


@pytest.mark.parametrize("moments", ["keep", "reset"])
def test_a_projection_puts_z_to_what_its_text_is(bundle: LoadedBundle, moments: str) -> None:
    """Before the row of each third step, but not before row 0; and the updates between are Adam's."""
    options = {"projection.every": 3, "projection.moments": moments}
    rows = list(optimize(toy_spec(steps=7, lr=0.05, norm="free", options=options), bundle))
    plain = list(optimize(toy_spec(steps=7, lr=0.05, norm="free"), bundle))
    assert [row.state_hash for row in rows[:3]] == [row.state_hash for row in plain[:3]]
    for step in (3, 6):
        # The rows before it are those of a run without projection: there z says what it is put to.
        z = torch.tensor(rows[step].z)
        texts = [read(bundle, plain[3].z)] if step == 3 else []
        if texts:
            np.testing.assert_allclose(z.numpy(), encode(bundle, texts[0]), rtol=1e-5, atol=1e-6)
    # Adam's first update after a reset is lr in every coordinate, whatever the gradient's length is.
    first_update = np.abs(rows[4].z - rows[3].z)
    is_first = np.allclose(first_update, 0.05, rtol=1e-2)
    assert is_first is (moments == "reset")


def test_noise_is_averaged_over_copies_at_the_norm_of_z(bundle: LoadedBundle) -> None:
    options = {"noise.copies": 3, "noise.level": 0.3}
    spec = toy_spec(weights={"ce": 1.0, "cosine": 0.5}, options=options, seed=7, steps=2, lr=0.05)
    for row in optimize(spec, bundle):
        draws = np.random.Generator(np.random.Philox(key=[7, row.step])).standard_normal(
            (3, bundle.dim), np.float32
        )
        norm = np.linalg.norm(doubled(row.z))
        losses = []
        for draw in draws:
            noisy = row.z + 0.3 * norm * draw / np.sqrt(bundle.dim)
            noisy *= norm / np.linalg.norm(noisy)
            alone = next(
                optimize(
                    toy_spec(weights=spec.weights, norm="free"), bundle, initial=noisy.astype(np.float32)
                )
            )
            losses.append(alone.loss)
        assert row.loss == pytest.approx(np.mean(losses), rel=1e-4)
        # What is recorded besides belongs to z itself.
        alone = next(optimize(toy_spec(norm="free"), bundle, initial=row.z))
        np.testing.assert_allclose(row.prediction, alone.prediction, rtol=1e-5, atol=1e-6)


def test_copies_that_the_memory_does_not_hold_are_taken_in_pieces(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(options={"noise.copies": 8, "noise.level": 0.2}, seed=3, steps=2)
    whole = list(optimize(spec, bundle))
    predict, sizes = LoadedBundle.predict_each, []

    def predict_few(self: LoadedBundle, sentences: torch.Tensor) -> torch.Tensor:
        if len(sentences) > 3:
            raise torch.OutOfMemoryError
        sizes.append(len(sentences))
        return predict(self, sentences)

    monkeypatch.setattr(LoadedBundle, "predict_each", predict_few)
    pieces = list(optimize(spec, bundle))
    assert max(sizes) == 2  # 8, 4, 2
    for one, other in zip(whole, pieces, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-4)


@pytest.mark.parametrize("stop", [1, 4, 5, 6])
@pytest.mark.parametrize(
    "fields",
    [
        {"weights": {"ce": 1.0, "fluency": 0.5, "anchor": 0.1}, "read_every": 3},
        {"options": {"projection.every": 3, "projection.moments": "reset"}},
        {"options": {"noise.copies": 2}, "optimizer": "lbfgs", "clip": 0.5},
        {"schedules": {"lr": "plateau:0.5:1", "cosine": "linear:1:6"}, "optimizer": "sgd"},
        {"schedules": {"lr": "cosine:0:6"}, "optimizer": "adamw"},
    ],
)
def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(
    bundle: LoadedBundle, fields: dict[str, object], stop: int
) -> None:
    spec = toy_spec(steps=9, lr=0.05, decode_every=4, **fields)
    whole = Optimization([spec], bundle)
    for _ in range(stop):
        whole.advance()
    checkpoint = whole.state_bytes(0)
    rest = [everything(row) for row in run_out(whole)]
    resumed = Optimization([spec], bundle)
    resumed.restore(0, checkpoint)
    assert [everything(row) for row in run_out(resumed)] == rest


def test_a_term_that_is_switched_on_again_reads_z_anew(bundle: LoadedBundle) -> None:
    spec = toy_spec(weights={"ce": 1.0, "fluency": 0.5}, read_every=100, steps=9, lr=0.1)
    optimization = Optimization([spec], bundle)
    optimization.advance()
    optimization.set_weights(0, {"ce": 1.0})
    optimization.advance()
    optimization.set_weights(0, {"ce": 1.0, "fluency": 0.5})
    (row,) = optimization.advance()
    expected = decoder_cross_entropy(bundle, doubled(row.z), read(bundle, row.z))
    assert row.terms["fluency"] == pytest.approx(expected, rel=1e-4)


def test_schedules_are_followed_and_recorded(bundle: LoadedBundle) -> None:
    schedules = {"lr": "linear:0.01:4", "cosine": "linear:2:8"}
    spec = toy_spec(steps=8, lr=0.05, weights={"ce": 1.0, "cosine": 0.0}, schedules=schedules)
    rows = list(optimize(spec, bundle))
    rates = [0.05, 0.04, 0.03, 0.02, 0.01, 0.01, 0.01, 0.01]
    assert [row.lr for row in rows] == [*map(pytest.approx, rates), None]
    for row in rows:
        weight = 2 * row.step / 8
        assert row.weights == pytest.approx({"ce": 1.0, "cosine": weight})
        assert row.loss == pytest.approx(row.terms["ce"] + weight * row.terms["cosine"], rel=1e-5)


def test_a_number_that_is_set_ends_a_schedule(bundle: LoadedBundle) -> None:
    optimization = Optimization([toy_spec(steps=5, lr=0.05, schedules={"lr": "cosine:0:5"})], bundle)
    rows = optimization.advance() + optimization.advance()
    optimization.set_lr(0, 0.2)
    rows += run_out(optimization)
    assert rows[1].lr == pytest.approx(0.05 * (1 + np.cos(np.pi / 5)) / 2)
    assert [row.lr for row in rows[2:]] == [0.2, 0.2, 0.2, None]


def test_a_plateau_lowers_the_lr_and_what_is_recorded_is_used_again(bundle: LoadedBundle) -> None:
    """With a loss that never falls, the lr is halved after each `patience` + 1 rows without a lower one."""
    spec = toy_spec(steps=8, lr=1e-12, optimizer="sgd", schedules={"lr": "plateau:0.5:1"})
    rows = list(optimize(spec, bundle))
    rates = [row.lr for row in rows[:-1]]
    assert rates == [1e-12, 1e-12, 1e-12, 5e-13, 5e-13, 2.5e-13, 2.5e-13, 1.25e-13]
    again = Optimization([spec], bundle)
    repeated = []
    for row in rows[:-1]:
        assert row.lr is not None
        again.repeat(0, lr=row.lr, weights=row.weights)
        repeated += again.advance()
    assert [everything(row) for row in repeated] == [everything(row) for row in rows[:-1]]
    again.take_spec(0, spec)
    assert [everything(row) for row in again.advance()] == [everything(rows[-1])]


def test_a_plateau_begins_where_it_says(bundle: LoadedBundle) -> None:
    spec = toy_spec(steps=8, lr=1e-12, optimizer="sgd", schedules={"lr": "plateau:0.5:1@3"})
    rates = [row.lr for row in optimize(spec, bundle)]
    assert rates[:-1] == [1e-12] * 6 + [5e-13] * 2


def test_a_schedule_that_is_set_may_say_what_it_begins_with(bundle: LoadedBundle) -> None:
    optimization = Optimization([toy_spec(steps=6, lr=0.05)], bundle)
    rows = optimization.advance() + optimization.advance()
    asked = parse_settings({"lr": "0.2:cosine:0:4", "weights": {"cosine": "1 linear:3:2"}})
    spec = steered(optimization.specs[0], 2, lr=asked.lr, weights=asked.weights, schedules=asked.schedules)
    optimization.take_spec(0, spec)
    rows += run_out(optimization)
    assert [row.lr for row in rows[:2]] == [0.05, 0.05]
    expected = [0.2 * (1 + np.cos(np.pi * t / 4)) / 2 for t in range(4)]
    assert [row.lr for row in rows[2:-1]] == pytest.approx(expected)
    assert [row.weights["cosine"] for row in rows[2:]] == [1, 2, 3, 3, 3]
    assert [asked.said(name) for name in ("lr", *asked.terms)] == [
        "0.2, cosine to 0 over 4 steps",
        "1, linear to 3 over 2 steps",
    ]


def test_a_gradient_is_clipped_and_its_own_norm_recorded(bundle: LoadedBundle) -> None:
    free = toy_spec(steps=1, lr=1.0, norm="free", optimizer="sgd", options={"sgd.momentum": 0.0})
    plain, clipped = (list(optimize(free.model_copy(update={"clip": clip}), bundle)) for clip in (None, 0.01))
    assert clipped[0].grad_norm == plain[0].grad_norm
    assert np.linalg.norm(plain[1].z - plain[0].z) == pytest.approx(plain[0].grad_norm, rel=1e-4)
    assert np.linalg.norm(clipped[1].z - clipped[0].z) == pytest.approx(0.01, rel=1e-3)


def reread_of(bundle: LoadedBundle, row: Step) -> Step:
    """Row 0 of a run that begins with the text of a row's z."""
    text = row.decoded_z or ""
    return next(optimize(toy_spec(init={"kind": "text", "text": text}, decode_every=1, norm="free"), bundle))


def test_a_decoded_row_is_measured(bundle: LoadedBundle) -> None:
    rows = list(optimize(toy_spec(steps=4, decode_every=2, lr=0.05), bundle))
    for row in rows:
        if row.decoded_z is None:
            assert (row.measures, row.reread_prediction) == ({}, None)
            continue
        assert set(row.measures) == set(MEASURES)
        again = encode(bundle, row.decoded_z)
        assert row.measures["round_trip"] == pytest.approx(cosine(doubled(row.z), again), rel=1e-4)
        own = decoder_cross_entropy(bundle, doubled(row.z), row.decoded_z)
        assert row.measures["own_ce"] == pytest.approx(own, rel=1e-4)
        assert row.measures["init_distance"] == pytest.approx(np.linalg.norm(row.z - rows[0].z), abs=1e-6)
        reread = reread_of(bundle, row)
        assert row.measures["reread_ce"] == pytest.approx(reread.terms["ce"], rel=1e-4)
        assert row.reread_prediction == reread.decoded_prediction
        assert row.measures["reread_match"] == float(reread.match or False)


def test_measures_that_need_the_models_can_be_left_out(bundle: LoadedBundle) -> None:
    (row,) = [row for row in optimize(toy_spec(steps=1, measures="quick"), bundle) if row.step == 0]
    assert set(row.measures) == {"word_error_rate", "prefix", "degeneracy", "init_distance"}
    (row,) = [row for row in optimize(toy_spec(steps=1, measures="none"), bundle) if row.step == 0]
    assert row.measures == {}
    assert row.reread_prediction is None
