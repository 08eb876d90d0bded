"""The step and the trajectory: what a row means, against the published loop written out here."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq2.nn import BatchLayout
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional as F

from engine.decoding import decode
from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization, Step
from engine.optimizers import OPTIMIZERS
from engine.search import optimize
from engine.spec import RunSpec
from engine.steps.state import RunState
from tests.engine.toy import toy_bundle, toy_spec

STATE_IN_HASH = ("z", "first_moment", "second_moment", "count")

# Rows of two computations of the same thing in float32, whose rounding Adam lets grow from step to step.
RELATIVE, ABSOLUTE = 2e-4, 2e-5


def published_loop(
    bundle: LoadedBundle, spec: RunSpec, lr_of: Callable[[int], float]
) -> list[dict[str, float]]:
    """The published experiment: torch.optim.Adam on z, norm held, decoder cross-entropy by torch's own."""
    z0 = bundle.encode([str(spec.init)])  # (1, D)
    target = bundle.encode([spec.target])
    tokens = bundle.decoder_tokenizer.create_encoder(lang="eng_Latn", mode="target")(spec.target)[None]
    z = z0.clone().requires_grad_()
    optimizer = torch.optim.Adam([z], lr=spec.lr)
    rows = []
    for step in range(spec.steps + 1):
        effective = z * z0.norm() / z.norm()
        prediction = bundle.generator(effective[:, None])  # (1, 1, D)
        logits = bundle.decoder(
            prediction, BatchLayout.of(prediction), tokens[:, :-1], BatchLayout.of(tokens[:, :-1])
        )
        loss = F.cross_entropy(logits[0], tokens[0, 1:])
        (z.grad,) = torch.autograd.grad(loss, z)
        rows.append(
            {
                "loss": loss.item(),
                "similarity": F.cosine_similarity(prediction[:, 0], target).item(),
                "grad_norm": z.grad.norm().item(),
                "z_norm": effective.norm().item(),
            }
        )
        optimizer.param_groups[0]["lr"] = lr_of(step)
        optimizer.step()
    return rows


def numbers(row: Step) -> dict[str, float]:
    return {name: getattr(row, name) for name in ("loss", "similarity", "grad_norm", "z_norm")}


def assert_rows_agree(rows: list[Step], expected: list[dict[str, float]]) -> None:
    assert [row.step for row in rows] == list(range(len(expected)))
    for row, values in zip(rows, expected, strict=True):
        assert numbers(row) == pytest.approx(values, rel=RELATIVE, abs=ABSOLUTE)


def everything(row: Step) -> tuple[object, ...]:
    """All that a row says, to the last bit, but for the time it took and its place in a batch."""
    return (
        row.step, row.loss, tuple(row.terms.items()), row.similarity, row.grad_norm, row.z_norm, row.lr,
        row.z.tobytes(), row.prediction.tobytes(), row.decoded_z, row.decoded_prediction, row.match,
        row.state_hash,
    )  # fmt: skip


def run_out(optimization: Optimization) -> list[Step]:
    rows = []
    while not optimization.done:
        rows += optimization.advance()
    return rows


def test_a_trajectory_is_the_published_loops(bundle: LoadedBundle) -> None:
    spec = toy_spec(steps=25, lr=0.05)
    assert_rows_agree(list(optimize(spec, bundle)), published_loop(bundle, spec, lambda step: 0.05))


def test_a_change_of_lr_takes_effect_with_the_next_update(bundle: LoadedBundle) -> None:
    spec = toy_spec(steps=20, lr=0.05)
    optimization = Optimization([spec], bundle)
    rows = []
    while not optimization.done:
        if optimization.next_step(0) == 8:
            optimization.set_lr(0, 0.2)
        rows += optimization.advance()
    assert [row.lr for row in rows] == [0.05] * 8 + [0.2] * 12 + [None]
    assert_rows_agree(rows, published_loop(bundle, spec, lambda step: 0.2 if step >= 8 else 0.05))


def test_a_change_of_weights_takes_effect_with_the_next_update(bundle: LoadedBundle) -> None:
    """Each row is the sum of its terms with the weights in force."""
    spec = toy_spec(steps=9, lr=0.05, weights={"cosine": 1.0})
    changes = {3: {"cosine": 1.0, "ce": 0.5}, 6: {"ce": 2.0}}
    optimization = Optimization([spec], bundle)
    in_force: dict[str, float] = spec.weights
    while not optimization.done:
        step = optimization.next_step(0)
        if step in changes:
            in_force = changes[step]
            optimization.set_weights(0, in_force)
        (row,) = optimization.advance()
        assert list(row.terms) == [name for name in ("ce", "cosine") if name in in_force]
        assert row.loss == pytest.approx(sum(in_force[name] * row.terms[name] for name in in_force))
        alone = toy_spec(norm="free", weights=in_force)
        again = next(optimize(alone, bundle, initial=row.z))
        assert again.terms == pytest.approx(row.terms, rel=1e-5)


def test_a_change_of_weights_is_the_same_bits_after_a_checkpoint(bundle: LoadedBundle) -> None:
    spec = toy_spec(steps=6, decode_every=2, lr=0.1)
    weights = {"ce": 1.0, "cosine": 0.5}
    whole = Optimization([spec], bundle)
    rows = whole.advance() + whole.advance()
    whole.set_weights(0, weights)
    checkpoint = whole.state_bytes(0)
    rows += run_out(whole)
    resumed = Optimization([spec.model_copy(update={"weights": weights})], bundle)
    resumed.restore(0, checkpoint)
    assert [everything(row) for row in run_out(resumed)] == [everything(row) for row in rows[2:]]


def test_the_weights_of_one_run_of_a_batch_leave_the_others(bundle: LoadedBundle) -> None:
    specs = [toy_spec(steps=4, weights={"cosine": 1.0}), toy_spec(steps=4, weights={"cosine": 1.0})]
    batch = Optimization(specs, bundle)
    batch.set_weights(0, {"ce": 1.0})
    rows = run_out(batch)
    assert [list(row.terms) for row in rows if row.run == 0] == [["ce"]] * 5
    assert_rows_agree(
        [row for row in rows if row.run == 1], [numbers(row) for row in optimize(specs[1], bundle)]
    )


def test_a_run_of_a_batch_that_is_held_goes_on_where_it_was(bundle: LoadedBundle) -> None:
    specs = [toy_spec(steps=4), toy_spec(steps=4, lr=0.02)]
    batch = Optimization(specs, bundle)
    rows = batch.advance()
    batch.hold(0)
    for _ in range(2):
        rows += batch.advance()
    assert [(row.run, row.step) for row in rows] == [(0, 0), (1, 0), (1, 1), (1, 2)]
    batch.hold(0, False)
    rows += run_out(batch)
    for run, spec in enumerate(specs):
        alone = [numbers(row) for row in optimize(spec, bundle)]
        assert_rows_agree([row for row in rows if row.run == run], alone)


@pytest.mark.parametrize("weights", [{}, {"ce": 0.0}, {"hinge": 1.0}, {"ce": -1.0}, {"ce": float("nan")}])
def test_useless_weights_are_refused(bundle: LoadedBundle, weights: dict[str, float]) -> None:
    optimization = Optimization([toy_spec()], bundle)
    with pytest.raises(UserError, match=r"^weights[^\n]*$"):
        optimization.set_weights(0, weights)
    assert list(optimization.advance()[0].terms) == ["ce"]


@pytest.mark.parametrize("when", [0, 2, 4])
def test_a_run_that_is_extended_is_the_longer_run(bundle: LoadedBundle, when: int) -> None:
    """Before it has begun, on its way, and after its last row, which it makes again."""
    longer = [everything(row) for row in optimize(toy_spec(steps=7, decode_every=2), bundle)]
    optimization = Optimization([toy_spec(steps=3, decode_every=2)], bundle)
    rows = [row for _ in range(when) for row in optimization.advance()]
    assert optimization.done is (when == 4)
    optimization.extend(0, 7)
    rows = [row for row in rows if row.step != 3] + run_out(optimization)
    assert [everything(row) for row in rows] == longer
    with pytest.raises(UserError, match=r"^steps: 7: the run has 7 already$"):
        optimization.extend(0, 7)


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan"), float("inf")])
def test_a_useless_lr_is_refused(bundle: LoadedBundle, lr: float) -> None:
    optimization = Optimization([toy_spec(lr=0.05)], bundle)
    with pytest.raises(UserError, match=r"^lr: .*above 0"):
        optimization.set_lr(0, lr)
    assert optimization.advance()[0].lr == 0.05


def test_n_updates_give_rows_0_to_n(bundle: LoadedBundle) -> None:
    rows = list(optimize(toy_spec(steps=4, lr=0.05), bundle))
    assert [row.step for row in rows] == [0, 1, 2, 3, 4]
    assert [row.lr for row in rows] == [0.05, 0.05, 0.05, 0.05, None]


def test_a_run_that_is_done_stays_as_it_is(bundle: LoadedBundle) -> None:
    """No update is made from the last row, though the other run of the batch goes on."""
    optimization = Optimization([toy_spec(steps=2), toy_spec(steps=5)], bundle)
    optimization.advance()
    optimization.advance()
    at_the_end = optimization.state_bytes(0)
    rows = run_out(optimization)
    assert [(row.run, row.step) for row in rows] == [(0, 2), (1, 2), (1, 3), (1, 4), (1, 5)]
    assert optimization.state_bytes(0) == at_the_end
    assert optimization.next_step(0) == 2


def test_the_hash_is_of_the_state_before_the_update(bundle: LoadedBundle) -> None:
    optimization = Optimization([toy_spec(steps=3)], bundle)
    while not optimization.done:
        state = load(optimization.state_bytes(0))
        hashed = b"".join(state[name].numpy().tobytes() for name in STATE_IN_HASH)
        (row,) = optimization.advance()
        assert row.state_hash == hashlib.sha256(hashed).hexdigest()[:16]


def test_a_rows_numbers_belong_to_its_z(bundle: LoadedBundle) -> None:
    """A run that starts from a row's z gives that row's numbers in its own row 0."""
    for row in optimize(toy_spec(steps=6, lr=0.1), bundle):
        again = next(optimize(toy_spec(norm="free"), bundle, initial=row.z))
        assert (again.loss, again.similarity, again.z_norm) == (row.loss, row.similarity, row.z_norm)
        np.testing.assert_array_equal(again.prediction, row.prediction)


def test_rows_are_decoded_as_the_spec_says(bundle: LoadedBundle) -> None:
    """At multiples and at the end, with the spec's beam, to at most three times the target's tokens."""
    target = "Tom had a red ball."
    tokens = len(bundle.decoder_tokenizer.create_raw_encoder()(target))
    spec = toy_spec(steps=5, decode_every=2, target=target, beam=3, max_decoded_tokens=None, lr=0.1)
    rows = list(optimize(spec, bundle))
    assert [row.step for row in rows if row.decoded_z is not None] == [0, 2, 4, 5]
    for row in rows:
        texts = [
            decode(bundle, torch.tensor(vector)[None], beam=3, max_tokens=3 * tokens)[0]
            for vector in (row.z, row.prediction)
        ]
        if row.step in (0, 2, 4, 5):
            assert [row.decoded_z, row.decoded_prediction] == texts
            assert row.match is (texts[1].strip() == target)
            assert texts[0] != texts[1]
        else:
            assert (row.decoded_z, row.decoded_prediction, row.match) == (None, None, None)


def test_a_match_is_equality_but_for_outer_white_space(bundle: LoadedBundle) -> None:
    first = next(optimize(toy_spec(max_decoded_tokens=4), bundle))
    assert first.match is False
    assert first.decoded_prediction
    same = toy_spec(target=f"  {first.decoded_prediction}\n", weights={"cosine": 1.0})
    assert next(optimize(same, bundle)).match is True


@pytest.mark.parametrize("norm", ["initial", 0.7])
def test_a_held_norm_is_held(bundle: LoadedBundle, norm: str | float) -> None:
    rows = list(optimize(toy_spec(norm=norm, steps=10, lr=0.5), bundle))
    held = float(bundle.encode(["I like cheese."]).norm()) if norm == "initial" else norm
    for row in rows:
        assert row.z_norm == pytest.approx(held, rel=1e-6)
        assert float(np.linalg.norm(row.z.astype(np.float64))) == pytest.approx(held, rel=1e-6)


def test_a_free_norm_is_free(bundle: LoadedBundle) -> None:
    rows = list(optimize(toy_spec(norm="free", steps=10, lr=0.5), bundle))
    assert rows[-1].z_norm > 1.1 * rows[0].z_norm


def test_runs_of_a_batch_are_the_runs_alone(bundle: LoadedBundle) -> None:
    specs = [
        toy_spec(steps=12, lr=0.05),
        toy_spec(steps=7, lr=0.2, target="I like cheese.", norm="free", weights={"ce": 1.0, "mse": 0.2}),
        toy_spec(
            steps=9, lr=0.1, norm=2.5, weights={"cosine": 1.0}, init={"kind": "random", "seed": 3}, beam=2
        ),
        toy_spec(steps=3, target="Tom had a red ball.", decode_every=2),
    ]
    batch = run_out(Optimization(specs, bundle))
    assert len(batch) == sum(spec.steps + 1 for spec in specs)
    for run, spec in enumerate(specs):
        own = [row for row in batch if row.run == run]
        alone = list(optimize(spec, bundle))
        assert_rows_agree(own, [numbers(row) for row in alone])
        for row, other in zip(own, alone, strict=True):
            assert row.lr == other.lr
            assert row.terms == pytest.approx(other.terms, rel=RELATIVE, abs=ABSOLUTE)
            np.testing.assert_allclose(row.z, other.z, rtol=2e-3, atol=2e-4)
            assert (row.decoded_z, row.decoded_prediction) == (other.decoded_z, other.decoded_prediction)


def test_every_parameter_is_frozen_and_never_has_a_gradient() -> None:
    bundle = toy_bundle()
    list(optimize(toy_spec(weights={"ce": 1.0, "cosine": 1.0, "mse": 1.0}), bundle))
    for model in (bundle.encoder, bundle.decoder, bundle.generator):
        assert not any(module.training for module in model.modules())
        for parameter in model.parameters():
            assert not parameter.requires_grad
            assert parameter.grad is None


def test_the_same_spec_gives_the_same_bits(bundle: LoadedBundle) -> None:
    spec = toy_spec(steps=5, decode_every=2, weights={"ce": 1.0, "cosine": 0.1})
    first, second = ([everything(row) for row in optimize(spec, bundle)] for _ in range(2))
    assert first == second


def test_another_process_gives_the_same_bits(bundle: LoadedBundle) -> None:
    program = (
        "from engine.search import optimize\n"
        "from tests.engine.toy import toy_bundle, toy_spec\n"
        "for row in optimize(toy_spec(steps=5), toy_bundle()):\n"
        "    print(row.state_hash, row.loss.hex(), row.z.tobytes().hex(), ascii(row.decoded_z))\n"
    )
    repository = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    here = [
        f"{row.state_hash} {row.loss.hex()} {row.z.tobytes().hex()} {row.decoded_z!a}"
        for row in optimize(toy_spec(steps=5), bundle)
    ]
    assert result.stdout.splitlines() == here


def test_a_run_goes_on_from_any_checkpoint_bit_for_bit(bundle: LoadedBundle) -> None:
    spec = toy_spec(steps=6, decode_every=2, lr=0.1)
    whole, checkpoints = [], []
    optimization = Optimization([spec], bundle)
    while not optimization.done:
        if optimization.next_step(0) == 2:
            optimization.set_lr(0, 0.3)
        checkpoints.append(optimization.state_bytes(0))
        whole += optimization.advance()
    for step, checkpoint in enumerate(checkpoints[2:], start=2):
        resumed = Optimization([spec], bundle)
        resumed.restore(0, checkpoint)
        assert resumed.next_step(0) == step
        assert [everything(row) for row in run_out(resumed)] == [everything(row) for row in whole[step:]]


def test_one_run_of_a_batch_is_restored_and_the_others_stay(bundle: LoadedBundle) -> None:
    specs = [toy_spec(steps=4), toy_spec(steps=4, target="Tom had a red ball.")]
    optimization = Optimization(specs, bundle)
    checkpoint = optimization.state_bytes(1)
    first = optimization.advance()
    optimization.restore(1, checkpoint)
    second = optimization.advance()
    assert [row.step for row in second] == [1, 0]
    assert everything(second[1]) == everything(first[1])


def test_no_damage_to_a_checkpoint_goes_unseen(bundle: LoadedBundle) -> None:
    optimization = Optimization([toy_spec()], bundle)
    optimization.advance()
    intact = optimization.state_bytes(0)
    damaged = [intact[:i] + bytes([intact[i] ^ 4]) + intact[i + 1 :] for i in range(len(intact))]
    damaged += [b"", intact[:-1], intact + b"\0", b"not a checkpoint at all"]
    for data in damaged:
        with pytest.raises(UserError, match=r"^checkpoint: [^\n]*$"):
            optimization.restore(0, data)
    assert optimization.state_bytes(0) == intact


def test_a_checkpoint_of_other_models_is_refused(bundle: LoadedBundle) -> None:
    optimization = Optimization([toy_spec()], bundle)
    before = optimization.state_bytes(0)
    other = RunState.start(
        torch.ones(1, 16),
        lr=torch.ones(1, 1, dtype=torch.float64),
        held_norm=torch.ones(1, 1),
        optimizers=[OPTIMIZERS["adam"]],
    ).run_bytes(0)
    with pytest.raises(UserError, match=r"^checkpoint: z should be \(32,\) torch.float32; found \(16,\)"):
        optimization.restore(0, other)
    assert optimization.state_bytes(0) == before


def test_a_checkpoint_of_a_longer_run_is_refused(bundle: LoadedBundle) -> None:
    longer, optimization = (Optimization([toy_spec(steps=steps)], bundle) for steps in (5, 2))
    run_out(longer)
    before = optimization.state_bytes(0)
    with pytest.raises(UserError, match=r"^checkpoint: of step 5; the run ends with step 2$"):
        optimization.restore(0, longer.state_bytes(0))
    assert optimization.state_bytes(0) == before


def poison_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the generator's predictions NaN from a step on."""
    calls, predict_each = iter(range(10_000)), LoadedBundle.predict_each

    def poisoned(self: LoadedBundle, sentences: Tensor) -> Tensor:
        return predict_each(self, sentences) * (float("nan") if next(calls) >= step else 1.0)

    monkeypatch.setattr(LoadedBundle, "predict_each", poisoned)


def test_a_loss_that_is_not_finite_ends_the_run_with_its_row(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_after(2, monkeypatch)
    optimization = Optimization([toy_spec(steps=5, decode_every=1, measures="quick")], bundle)
    (first,), (second,) = optimization.advance(), optimization.advance()
    before = optimization.state_bytes(0)
    (third,) = optimization.advance()
    assert optimization.done
    assert optimization.state_bytes(0) == before
    assert first.problem is None
    assert second.problem is None
    assert second.decoded_z is not None
    assert np.isnan(third.loss)
    assert third.lr is None
    assert (third.decoded_z, third.decoded_prediction, third.match) == (None, None, None)
    assert np.isfinite(third.z).all()


def test_optimize_gives_the_row_that_is_not_finite_and_then_the_reason(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_after(1, monkeypatch)
    rows = optimize(toy_spec(steps=5), bundle)
    assert [next(rows).step, next(rows).step] == [0, 1]
    with pytest.raises(UserError, match=r"^step 1: the loss is nan .* lower lr$"):
        next(rows)


def test_bfloat16_is_close_to_float32(bundle: LoadedBundle) -> None:
    coarse = toy_bundle(dtype=torch.bfloat16)
    spec = toy_spec(weights={"ce": 1.0, "cosine": 1.0, "mse": 1.0}, steps=5)
    for row, exact in zip(optimize(spec, coarse), optimize(spec, bundle), strict=True):
        assert row.z.dtype == row.prediction.dtype == np.float32
        assert row.terms == pytest.approx(exact.terms, rel=0.03, abs=0.03)


def test_a_random_init_has_the_bundles_norm_and_follows_its_seed(bundle: LoadedBundle) -> None:
    first, again, other = (
        Optimization([toy_spec(init={"kind": "random", "seed": seed})], bundle).initial_z
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert float(np.linalg.norm(first)) == pytest.approx(bundle.embedding_norm, rel=1e-5)


def test_vectors_are_those_of_the_texts(bundle: LoadedBundle) -> None:
    optimization = Optimization([toy_spec(init={"kind": "text", "text": "Tom had a red ball."})], bundle)
    np.testing.assert_array_equal(optimization.initial_z, bundle.encode(["Tom had a red ball."]).numpy())
    np.testing.assert_array_equal(optimization.target_vector, bundle.encode([toy_spec().target]).numpy())
    np.testing.assert_array_equal(optimization.advance()[0].z, optimization.initial_z[0])


def test_a_stored_vector_has_to_be_given(bundle: LoadedBundle) -> None:
    spec = toy_spec(init={"kind": "vector", "run": 3, "step": 5})
    with pytest.raises(UserError, match=r"^init: z of run 3, step 5: the vector itself is needed"):
        optimize(spec, bundle)
    vector = np.linspace(-1, 1, bundle.dim, dtype=np.float32)
    np.testing.assert_array_equal(next(optimize(spec, bundle, initial=vector)).z, vector)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.ones(7), "^init: 1 × 7 values; bundle toy takes 1 × 32$"),
        (np.full(32, np.nan), "^init: a vector of norm nan; at most 1e"),
        (np.full(32, 1e30), "^init: a vector of norm inf; at most 1e"),
        (np.zeros(32), "^init: a vector of norm 0, which cannot be held"),
    ],
)
def test_an_unusable_vector_is_refused(bundle: LoadedBundle, vector: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        optimize(toy_spec(), bundle, initial=vector.astype(np.float32))


def test_a_free_norm_may_start_at_zero(bundle: LoadedBundle) -> None:
    rows = list(optimize(toy_spec(norm="free"), bundle, initial=np.zeros(32, dtype=np.float32)))
    assert rows[0].z_norm == 0
    assert rows[-1].z_norm > 0
    assert all(row.problem is None for row in rows)
