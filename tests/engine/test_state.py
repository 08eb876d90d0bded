"""The state of runs with different optimisers: updates taken, and the way to bytes and back."""

import hashlib
import math
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from engine.errors import UserError
from engine.optimizers import OPTIMIZERS
from engine.schedule import PLATEAU_START
from engine.steps.state import RunState

DIM = 16
NAMES = ["adam", "lbfgs", "sgd", "adamw"]
SLOTS = [
    {"first_moment", "second_moment"},
    {"steps", "gradient_changes", "previous_z", "previous_gradient"},
    {"momentum_buffer"},
    {"first_moment", "second_moment"},
]
OF_EVERY_RUN = {"z", "count", "age", "lr", "held_norm", "read_z", "plateau"}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def start(names: list[str], z: Tensor) -> RunState:
    return RunState.start(
        z.clone(),
        lr=torch.full((len(names), 1), 0.1, dtype=torch.float64),
        held_norm=torch.ones(len(names), 1),
        optimizers=[OPTIMIZERS[name] for name in names],
    )


def update(state: RunState, names: list[str], gradient: Tensor, runs: list[bool] | None = None) -> None:
    """Let each run, or some of them, take an update of its own optimiser."""
    chosen = [True] * len(names) if runs is None else runs
    for name in dict.fromkeys(names):
        optimizer = OPTIMIZERS[name]
        options = {o.name: torch.full_like(state.lr, 0.5) for o in optimizer.options}
        z, slots = optimizer.update(
            state.z, gradient, slots=state.slots, count=state.age, lr=state.lr, options=options
        )
        own = [[is_chosen and name == of_run] for is_chosen, of_run in zip(chosen, names, strict=True)]
        state.accept(z, slots, runs=torch.tensor(own))


def updated(names: list[str], z: Tensor, updates: int = 4) -> RunState:
    """A state in which everything has changed."""
    state = start(names, z)
    for seed in range(updates):
        update(state, names, state.z + drawn(DIM, seed=seed))
    state.lr.mul_(0.5)
    state.read_z.copy_(z * 2)
    state.plateau.copy_(torch.tensor([0.25, 3, 0.5]))
    return state


def sealed(tensors: dict[str, Tensor]) -> bytes:
    """A checkpoint of these tensors, with its checksum written out here."""
    text = b"".join(name.encode() + tensors[name].numpy().tobytes() for name in sorted(tensors))
    checksum = torch.frombuffer(bytearray(hashlib.sha256(text).digest()), dtype=torch.uint8)
    return save({**tensors, "sha256": checksum})


def test_a_run_is_the_same_beside_others_as_alone() -> None:
    z = drawn(4, DIM)
    together = updated(NAMES, z)
    for run, name in enumerate(NAMES):
        assert load(together.run_bytes(run)).keys() - {"sha256"} == OF_EVERY_RUN | SLOTS[run]
        assert together.run_bytes(run) == updated([name], z[[run]]).run_bytes(0)


def test_a_run_that_takes_no_update_stays_as_it_is() -> None:
    state = updated(NAMES, drawn(4, DIM))
    before = [state.run_bytes(run) for run in range(4)]
    update(state, NAMES, drawn(4, DIM, seed=9), runs=[False, True, False, True])
    assert [state.run_bytes(run) == before[run] for run in range(4)] == [True, False, True, False]
    assert state.count.squeeze(-1).tolist() == [4, 5, 4, 5]


@pytest.mark.parametrize("run", range(4))
def test_a_run_goes_on_from_its_bytes_bit_for_bit(run: int) -> None:
    state = updated(NAMES, drawn(4, DIM))
    data = state.run_bytes(run)
    other = updated([NAMES[run]], drawn(1, DIM, seed=5), updates=2)
    other.restore_run(0, data)
    assert other.run_bytes(0) == data
    gradients = drawn(3, DIM, seed=6)
    for gradient in gradients:
        update(state, NAMES, gradient.expand(4, DIM))
        update(other, [NAMES[run]], gradient.expand(1, DIM))
    assert other.run_bytes(0) == state.run_bytes(run)


@pytest.mark.parametrize("run", range(4))
def test_a_copy_of_a_run_puts_it_back_and_leaves_the_others(run: int) -> None:
    state = updated(NAMES, drawn(4, DIM))
    copy, before = state.copy_of_run(run), state.run_bytes(run)
    update(state, NAMES, drawn(4, DIM, seed=9))
    after = [state.run_bytes(other) for other in range(4)]
    assert copy.run_bytes(0) == before != after[run]
    state.put_back(run, copy)
    assert state.run_bytes(run) == before
    assert [state.run_bytes(other) for other in range(4) if other != run] == after[:run] + after[run + 1 :]


def test_what_was_not_yet_kept_is_restored_as_it_starts() -> None:
    """A checkpoint as it was before runs had an optimiser to choose."""
    old = {
        "z": drawn(DIM),
        "first_moment": drawn(DIM, seed=1),
        "second_moment": drawn(DIM, seed=2).abs(),
        "count": torch.tensor([7]),
        "lr": torch.tensor([0.3], dtype=torch.float64),
        "held_norm": torch.tensor([2.5]),
    }
    state = updated(["sgd", "adam"], drawn(2, DIM))
    beside = state.run_bytes(0)
    state.restore_run(1, sealed(old))
    new = load(state.run_bytes(1))
    for name, tensor in old.items():
        torch.testing.assert_close(new[name], tensor, rtol=0, atol=0)
    assert new["age"].tolist() == [7]
    assert new["read_z"].isnan().all()
    assert new["plateau"].tolist() == list(PLATEAU_START) == [math.inf, 0, 1]
    assert state.run_bytes(0) == beside


@pytest.mark.parametrize(
    ("name", "of", "message"),
    [
        (
            "adam",
            "sgd",
            "of another optimiser, which keeps momentum_buffer; this run's keeps first_moment, second_moment",
        ),
        (
            "sgd",
            "adamw",
            "of another optimiser, which keeps first_moment, second_moment; this run's keeps momentum_buffer",
        ),
        (
            "sgd",
            "lbfgs",
            "of another optimiser, which keeps gradient_changes, previous_gradient, previous_z, steps;"
            " this run's keeps momentum_buffer",
        ),
    ],
)
def test_the_checkpoint_of_another_optimiser_is_refused(name: str, of: str, message: str) -> None:
    state = updated([name], drawn(1, DIM))
    before = state.run_bytes(0)
    with pytest.raises(UserError) as refusal:
        state.restore_run(0, updated([of], drawn(1, DIM)).run_bytes(0))
    assert str(refusal.value) == f"checkpoint: {message}"
    assert state.run_bytes(0) == before


def without(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("z"), r"z should be \(16,\) torch.float32; found nothing"),
        (without("count"), r"count should be \(1,\) torch.int64; found nothing"),
        (without("momentum_buffer"), r"momentum_buffer should be \(16,\) torch.float32; found nothing"),
        (
            lambda t: t | {"lr": t["lr"].float()},
            r"lr should be \(1,\) torch.float64; found \(1,\) torch.float32",
        ),
        (
            lambda t: t | {"read_z": t["z"][:3]},
            r"read_z should be \(16,\) torch.float32; found \(3,\) torch.float32",
        ),
        (
            lambda t: t | {"plateau": t["z"]},
            r"plateau should be \(3,\) torch.float64; found \(16,\) torch.float32",
        ),
        (lambda t: {}, r"z should be \(16,\) torch.float32; found nothing"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str
) -> None:
    state = updated(["sgd"], drawn(1, DIM))
    before = state.run_bytes(0)
    tensors = load(before)
    del tensors["sha256"]
    with pytest.raises(UserError, match=rf"^checkpoint: {message}$"):
        state.restore_run(0, sealed({name: tensor.clone() for name, tensor in change(tensors).items()}))
    assert state.run_bytes(0) == before


@pytest.mark.parametrize("run", range(4))
def test_an_optimiser_that_begins_anew_goes_on_as_a_new_one(run: int) -> None:
    state = updated(NAMES, drawn(4, DIM))
    others = [state.run_bytes(other) for other in range(4) if other != run]
    state.begin_anew(run)
    assert [state.run_bytes(other) for other in range(4) if other != run] == others
    new = start([NAMES[run]], state.z[[run]])
    new.lr.mul_(0.5)
    for seed in range(3):
        gradient = drawn(4, DIM, seed=seed)
        update(state, NAMES, gradient)
        update(new, [NAMES[run]], gradient[[run]])
    torch.testing.assert_close(state.z[run], new.z[0], rtol=0, atol=0)
    assert state.count[run].item() == 7


def test_a_plateau_that_is_forgotten_starts_over_for_its_run_alone() -> None:
    state = updated(["adam", "adam"], drawn(2, DIM))
    state.forget_plateau(1)
    assert state.plateau.tolist() == [[0.25, 3, 0.5], list(PLATEAU_START)]
