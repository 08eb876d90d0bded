"""The optimisers for many runs, against torch.optim on each run alone."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.optimizers import OPTIMIZERS, clip

DIM = 33  # not a multiple of any vector register: the last coordinates go another way
STEPS = 40

LRS = [0.01, 0.3, 1e-4]
OPTIONS: dict[str, list[dict[str, float]]] = {
    "adam": [{}, {}, {}],
    "adamw": [{"weight_decay": decay} for decay in (0.01, 0.7, 0.0)],
    "sgd": [{"momentum": momentum} for momentum in (0.9, 0.0, 0.5)],
    "lbfgs": [{}, {}, {}],
}
TORCHS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
LBFGS_STEPS = 30


class Batch:
    """Some of the runs, stepped together by one optimiser."""

    def __init__(
        self, name: str, z: Tensor, *, lrs: list[float], options: list[dict[str, float]] | None = None
    ) -> None:
        self.optimizer = OPTIMIZERS[name]
        self.z = z.clone()
        self.slots = self.optimizer.slots(z)
        self.count = torch.zeros(len(z), 1, dtype=torch.int64)
        self.lr = per_run(lrs)
        options = OPTIONS[name] if options is None else options
        self.options = {
            option.name: per_run([of[option.name] for of in options]) for option in self.optimizer.options
        }

    def update(self, gradient: Tensor) -> None:
        self.z, self.slots = self.optimizer.update(
            self.z, gradient, slots=self.slots, count=self.count, lr=self.lr, options=self.options
        )
        self.count = self.count + 1


def per_run(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def starts(dtype: torch.dtype = torch.float32) -> Tensor:
    """Where the three runs begin. # (3, DIM)"""
    return torch.randn(3, DIM, dtype=dtype, generator=torch.Generator().manual_seed(0))


def gradients() -> Tensor:
    """Gradients of many magnitudes. # (STEPS, 3, DIM)"""
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(STEPS, 3, DIM, generator=generator)
    return directions * 10 ** torch.empty(STEPS, 3, 1).uniform_(-6, 2, generator=generator)


def of_torch(name: str, run: int) -> list[Tensor]:
    """Z of one run after each update by torch's own optimiser. # STEPS of (DIM,)"""
    z = starts()[run].clone().requires_grad_()
    optimizer = TORCHS[name]([z], lr=LRS[run], **OPTIONS[name][run])
    trajectory = []
    for gradient in gradients()[:, run]:
        z.grad = gradient.clone()
        optimizer.step()
        trajectory.append(z.detach().clone())
    return trajectory


@pytest.mark.parametrize("name", TORCHS)
def test_each_run_of_a_batch_equals_torchs_to_the_last_bit(name: str) -> None:
    batch = Batch(name, starts(), lrs=LRS)
    expected = torch.stack([torch.stack(of_torch(name, run)) for run in range(3)], dim=1)
    for gradient, z in zip(gradients(), expected, strict=True):
        batch.update(gradient)
        torch.testing.assert_close(batch.z, z, rtol=0, atol=0)


@pytest.mark.parametrize("name", TORCHS)
@pytest.mark.parametrize("run", range(3))
def test_a_run_alone_equals_torchs_to_the_last_bit(name: str, run: int) -> None:
    alone = Batch(name, starts()[run : run + 1], lrs=[LRS[run]], options=[OPTIONS[name][run]])
    for gradient, z in zip(gradients()[:, run], of_torch(name, run), strict=True):
        alone.update(gradient.unsqueeze(0))
        torch.testing.assert_close(alone.z[0], z, rtol=0, atol=0)


@pytest.mark.parametrize("name", TORCHS)
def test_the_defaults_are_torchs(name: str) -> None:
    defaults = {option.name: option.default for option in OPTIMIZERS[name].options}
    if name == "sgd":  # where torch's own has no momentum
        assert defaults.pop("momentum") == 0.9
    assert defaults.items() <= TORCHS[name]([torch.zeros(1)]).defaults.items()


def bowl(z: Tensor) -> Tensor:
    """A convex function of each run's z that is no quadratic, lowest near 1. # (…, DIM) → (…,)"""
    widths = torch.linspace(0.5, 4, DIM, dtype=z.dtype)
    return (widths * ((z - 1) ** 2 + 1).sqrt()).sum(dim=-1) + 0.1 * (z - 1).sum(dim=-1) ** 2


def waves(z: Tensor) -> Tensor:
    """A function that curves up and down. # (…, DIM) → (…,)"""
    return (2 * z).cos().sum(dim=-1) + 0.05 * (z * z).sum(dim=-1)


def gradient_of(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    leaf = z.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return gradient


def lbfgs_of_torch(function: Callable[[Tensor], Tensor], start: Tensor, lr: float) -> list[Tensor]:
    """Z of one run after each update; without torch's tolerances, which end a run. # (DIM,)"""
    z = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [z], lr=lr, max_iter=1, history_size=10, line_search_fn=None, tolerance_grad=0, tolerance_change=0
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = function(z)
        torch.autograd.backward(loss)
        return loss

    trajectory = []
    for _ in range(LBFGS_STEPS):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        trajectory.append(z.detach().clone())
    return trajectory


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("function", "lrs"), [(bowl, [1.0, 0.3, 0.2]), (waves, [0.5, 0.1, 0.02])])
def test_each_run_of_a_batch_goes_the_way_of_torchs_lbfgs(
    function: Callable[[Tensor], Tensor], lrs: list[float], dtype: torch.dtype, tolerance: float
) -> None:
    batch = Batch("lbfgs", starts(dtype), lrs=lrs)
    ways = [lbfgs_of_torch(function, z, lr) for z, lr in zip(starts(dtype), lrs, strict=True)]
    for expected in zip(*ways, strict=True):
        batch.update(gradient_of(function, batch.z))
        for z, of_torch in zip(batch.z, expected, strict=True):
            assert (z - of_torch).norm() <= tolerance * of_torch.norm()


def test_lbfgs_keeps_the_newest_pairs_and_none_that_curves_down() -> None:
    batch = Batch("lbfgs", starts(), lrs=[0.1, 0.05, 0.02])
    ways, slopes = [batch.z], [gradient_of(waves, batch.z)]
    for _ in range(LBFGS_STEPS):
        batch.update(slopes[-1])
        ways.append(batch.z)
        slopes.append(gradient_of(waves, batch.z))
    steps, changes = torch.stack(ways).diff(dim=0)[:-1], torch.stack(slopes).diff(dim=0)[:-1]  # (29, 3, DIM)
    curves_up = (steps * changes).sum(dim=-1) > 1e-10  # (29, 3)
    for run in range(3):
        kept = curves_up[:, run].nonzero().flatten().tolist()
        assert 10 < len(kept) < len(steps)
        torch.testing.assert_close(batch.slots["steps"][run], steps[kept[-10:], run])
        torch.testing.assert_close(batch.slots["gradient_changes"][run], changes[kept[-10:], run])


def test_lbfgs_learns_from_a_move_that_another_made() -> None:
    """After z has been put elsewhere, the newest pair still is that of two points of the function."""
    batch = Batch("lbfgs", starts(), lrs=[0.1] * 3)
    for _ in range(3):
        before = batch.z
        batch.update(gradient_of(bowl, batch.z))
    moved = batch.z = starts().flip(0)
    batch.update(gradient_of(bowl, moved))
    torch.testing.assert_close(batch.slots["steps"][:, -1], moved - before)
    change = gradient_of(bowl, moved) - gradient_of(bowl, before)
    torch.testing.assert_close(batch.slots["gradient_changes"][:, -1], change)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_runs_beside_it_change_no_bit_of_a_run(name: str) -> None:
    batch = Batch(name, starts(), lrs=LRS)
    alone = [Batch(name, starts()[[run]], lrs=[LRS[run]], options=[OPTIONS[name][run]]) for run in range(3)]
    for gradient in gradients():
        batch.update(gradient)
        for run, one in enumerate(alone):
            one.update(gradient[[run]])
        torch.testing.assert_close(batch.z, torch.cat([one.z for one in alone]), rtol=0, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_changes_nothing_that_it_was_given(name: str) -> None:
    batch = Batch(name, starts(), lrs=LRS)
    for gradient in gradients()[:3]:
        given = {"z": batch.z, "gradient": gradient, "count": batch.count, "lr": batch.lr, **batch.slots}
        copies = {name: tensor.clone() for name, tensor in given.items()}
        batch.update(gradient)
        for key, tensor in given.items():
            torch.testing.assert_close(tensor, copies[key], rtol=0, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_new_slots_share_no_memory_with_z(name: str) -> None:
    """The caller writes the new z over the old one before it takes the slots."""
    batch = Batch(name, starts(), lrs=LRS)
    before = batch.z
    batch.update(gradients()[0])
    memory = {before.data_ptr(), batch.z.data_ptr()}
    assert memory.isdisjoint(slot.data_ptr() for slot in batch.slots.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_is_read_by_the_host(name: str) -> None:
    """Tensors without values can be computed with, and not be read."""
    optimizer = OPTIMIZERS[name]
    with torch.device("meta"):
        z, scalars = torch.zeros(3, DIM), torch.zeros(3, 1, dtype=torch.float64)
        new_z, slots = optimizer.update(
            z,
            clip(z, scalars),
            slots=optimizer.slots(z),
            count=torch.zeros(3, 1, dtype=torch.int64),
            lr=scalars,
            options={option.name: scalars for option in optimizer.options},
        )
    assert (new_z.shape, new_z.dtype) == (z.shape, z.dtype)
    kinds = {name: (slot.shape, slot.dtype) for name, slot in optimizer.slots(z).items()}
    assert {name: (slot.shape, slot.dtype) for name, slot in slots.items()} == kinds


def test_each_gradient_is_clipped_as_torch_clips_it() -> None:
    drawn = gradients()[:20].flatten(0, 1)  # (60, DIM)
    drawn[0] = 0
    max_norms = [1e-3, 1.0, 50.0] * 20
    clipped = clip(drawn, per_run(max_norms))
    for gradient, max_norm, ours in zip(drawn, max_norms, clipped, strict=True):
        parameter = torch.zeros(DIM, requires_grad=True)
        parameter.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([parameter], max_norm)
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-6, atol=0)
        assert ours.norm() <= max_norm
    torch.testing.assert_close(clip(drawn, per_run([float("inf")] * 60)), drawn, rtol=0, atol=0)


def test_names_and_options_are_read_without_torch() -> None:
    program = (
        "import sys; from engine.optimizers import OPTIMIZERS;"
        " print(*(f'{o.name}.{p.name}={p.default}' for o in OPTIMIZERS.values() for p in o.options));"
        " assert all(o.description for o in OPTIMIZERS.values()); assert 'torch' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == "adamw.weight_decay=0.01 sgd.momentum=0.9\n"
