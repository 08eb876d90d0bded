"""Schedules: what is read, what they say, and their values against formulas and torch's schedulers."""

import math
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch.optim import lr_scheduler

from engine.schedule import PLATEAU_START, Plateau, parse_schedule, plateau_update

BASE = 0.02


def values(text: str, steps: int, base: float = BASE) -> list[float]:
    schedule = parse_schedule(text, of="lr")
    return [schedule.value(base, step) for step in range(steps)]


def of_torch(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int) -> list[float]:
    """The learning rates that one of torch's schedulers gives."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    scheduler = make(optimizer)
    lrs = []
    for _ in range(steps):
        lrs.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return lrs


def test_constant_is_the_value_itself() -> None:
    assert values("constant", 5) == [BASE] * 5


def test_warm_up_grows_by_equal_parts_to_the_value() -> None:
    assert values("warmup:4", 7, base=1.0) == [0.25, 0.5, 0.75, 1, 1, 1, 1]
    linear = of_torch(lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, end_factor=1, total_iters=9), 15)
    assert values("warmup:10", 15) == pytest.approx(linear, rel=1e-12)


def test_linear_goes_to_its_end_and_stays_there() -> None:
    assert values("linear:1:4", 7, base=0.0) == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    linear = of_torch(lambda o: lr_scheduler.LinearLR(o, start_factor=1, end_factor=0.25, total_iters=10), 15)
    assert values("linear:0.005:10", 15) == pytest.approx(linear, rel=1e-12)


def test_cosine_goes_to_its_end_and_stays_there() -> None:
    expected = [0.5 + 1.5 * (1 + math.cos(math.pi * t / 8)) / 2 for t in range(8)] + [0.5] * 3
    assert values("cosine:0.5:8", 11, base=2.0) == pytest.approx(expected, rel=1e-12)
    cosine = of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10, eta_min=0.001), 11)
    assert values("cosine:0.001:10", 11) == pytest.approx(cosine, rel=1e-12)


@pytest.mark.parametrize("text", ["linear:0.3:7", "cosine:0.3:7"])
def test_the_ends_are_exact(text: str) -> None:
    assert values(text, 8)[::7] == [BASE, 0.3]


@pytest.mark.parametrize("text", ["constant", "warmup:4", "linear:1:4", "cosine:0:4", "plateau:0.5:3"])
def test_before_its_origin_the_value_holds_and_then_the_steps_are_counted_anew(text: str) -> None:
    assert values(f"{text}@5", 15) == [BASE] * 5 + values(text, 10)
    moved = parse_schedule(text, of="lr").starting_at(5)
    assert moved == parse_schedule(f"{text}@5", of="lr")
    assert moved.starting_at(0) == parse_schedule(text, of="lr")


@pytest.mark.parametrize(
    ("text", "canonical", "description"),
    [
        ("constant", "constant", "constant"),
        ("constant@9", "constant", "constant"),
        (" warmup:010 ", "warmup:10", "warm-up over 10 steps"),
        ("warmup:1@3", "warmup:1@3", "warm-up over 1 step, from step 3"),
        ("linear:1.0:5@0", "linear:1:5", "linear to 1 over 5 steps"),
        ("linear:.001:50@20", "linear:0.001:50@20", "linear to 0.001 over 50 steps, from step 20"),
        ("cosine:1E-5:200", "cosine:1e-05:200", "cosine to 1e-05 over 200 steps"),
        ("cosine:0:10000000", "cosine:0:10000000", "cosine to 0 over 10000000 steps"),
        ("cosine:0.123456789:3", "cosine:0.123456789:3", "cosine to 0.123457 over 3 steps"),
        ("plateau:5e-1:0", "plateau:0.5:0", "× 0.5 when stuck for over 0 steps"),
        ("plateau:0.5:10@7", "plateau:0.5:10@7", "× 0.5 when stuck for over 10 steps, from step 7"),
    ],
)
def test_the_text_is_made_canonical_and_described(text: str, canonical: str, description: str) -> None:
    schedule = parse_schedule(text, of="lr")
    assert str(schedule) == canonical
    assert parse_schedule(canonical, of="lr") == schedule
    assert schedule.describe() == description


FORMS = "allowed are constant, warmup:N, linear:END:N, cosine:END:N"
OF_LR = f"{FORMS}, plateau:FACTOR:PATIENCE; @STEP at the end says where it begins"
WHOLE = "allowed is a whole number, 1 to 10000000"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", OF_LR),
        ("step:3", OF_LR),
        ("Constant", OF_LR),
        ("constant:1", OF_LR),
        ("warmup", OF_LR),
        ("warmup:1:2", OF_LR),
        ("linear:5", OF_LR),
        ("\x1b[31mlinear\nx", OF_LR),
        ("warmup:0", f"N: {WHOLE}"),
        ("warmup:-3", f"N: {WHOLE}"),
        ("warmup:2.5", f"N: {WHOLE}"),
        ("warmup:١٢", f"N: {WHOLE}"),
        ("warmup:1_0", f"N: {WHOLE}"),
        ("warmup:10000001", f"N: {WHOLE}"),
        ("warmup:" + "9" * 5000, f"N: {WHOLE}"),
        ("linear:1:0", f"N: {WHOLE}"),
        ("linear:-1:5", "END: allowed is a number, 0 to 1000"),
        ("linear:1001:5", "END: allowed is a number, 0 to 1000"),
        ("linear:nan:5", "END: allowed is a number, 0 to 1000"),
        ("cosine:inf:5", "END: allowed is a number, 0 to 1000"),
        ("cosine:1e999:5", "END: allowed is a number, 0 to 1000"),
        ("cosine::5", "END: allowed is a number, 0 to 1000"),
        ("plateau:1:5", "FACTOR: allowed is a number above 0 and below 1"),
        ("plateau:0:5", "FACTOR: allowed is a number above 0 and below 1"),
        ("plateau:0.5:-1", "PATIENCE: allowed is a whole number, 0 to 10000000"),
        ("warmup:5@", "STEP: allowed is a whole number, 0 to 10000000"),
        ("warmup:5@-1", "STEP: allowed is a whole number, 0 to 10000000"),
        ("warmup:5@1@2", "STEP: allowed is a whole number, 0 to 10000000"),
    ],
)
def test_what_is_no_schedule_of_lr_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole message is compared
        parse_schedule(text, of="lr")
    assert str(refusal.value) == message


def test_a_weight_has_no_plateau_and_any_end() -> None:
    with pytest.raises(ValueError, match=rf"^{FORMS}; @STEP at the end says where it begins$"):
        parse_schedule("plateau:0.5:10", of="ce")
    with pytest.raises(ValueError, match=r"^END: allowed is a number, 0 or more$"):
        parse_schedule("linear:-1:10", of="ce")
    assert parse_schedule("linear:5000:10", of="ce").value(0, 10) == 5000


def losses(runs: int, steps: int) -> torch.Tensor:
    """Losses that fall, stay, rise by less than the threshold, and are not finite. # (steps, runs)"""
    generator = torch.Generator().manual_seed(0)
    drawn = 3 + torch.randn(steps, runs, generator=generator, dtype=torch.float64).cumsum(dim=0) * 0.1
    drawn[20:30] = drawn[20] * (1 - 0.00009 * torch.arange(10).unsqueeze(-1) / 10)
    drawn[35, 0], drawn[36, 0] = math.nan, math.inf
    return drawn


def test_plateau_counts_as_torchs_reduce_lr_on_plateau() -> None:
    schedules = [
        parse_schedule(text, of="lr") for text in ("plateau:0.5:3", "plateau:0.1:0", "plateau:0.9:10")
    ]
    optimizers, schedulers = [], []
    for schedule in schedules:
        assert isinstance(schedule, Plateau)
        optimizers.append(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE))
        schedulers.append(
            lr_scheduler.ReduceLROnPlateau(
                optimizers[-1], mode="min", factor=schedule.factor, patience=schedule.patience, eps=0
            )
        )
    factor = torch.tensor([[s.factor] for s in schedules if isinstance(s, Plateau)], dtype=torch.float64)
    patience = torch.tensor([[s.patience] for s in schedules if isinstance(s, Plateau)], dtype=torch.float64)
    state = torch.tensor([PLATEAU_START] * 3, dtype=torch.float64)
    reductions = 0
    for row in losses(3, 60):
        before = state.clone()
        given, state = state, plateau_update(state, row, factor, patience)
        torch.testing.assert_close(given, before, rtol=0, atol=0)
        reductions += int((state[:, 2] < before[:, 2]).sum())
        for loss, scheduler in zip(row, schedulers, strict=True):
            scheduler.step(loss.item())
        lrs = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        assert (BASE * state[:, 2]).tolist() == pytest.approx(lrs, rel=1e-12)
        assert state[:, 0].tolist() == [scheduler.best for scheduler in schedulers]
        assert state[:, 1].tolist() == [scheduler.num_bad_epochs for scheduler in schedulers]
    assert reductions > 10


def test_a_run_without_a_plateau_keeps_what_it_has_seen() -> None:
    state = torch.tensor([PLATEAU_START, (0.5, 2.0, 0.25), PLATEAU_START], dtype=torch.float64)
    scalars = torch.tensor([[math.inf], [math.inf], [5.0]], dtype=torch.float64)
    new = plateau_update(state, torch.tensor([0.1, 0.1, 0.1]).unsqueeze(-1), torch.full((3, 1), 0.5), scalars)
    torch.testing.assert_close(new[:2], state[:2], rtol=0, atol=0)
    assert new[2].tolist() == [torch.tensor(0.1).item(), 0, 1]


def test_nothing_is_read_by_the_host() -> None:
    with torch.device("meta"):
        state, scalars = torch.zeros(3, 3, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
        new = plateau_update(state, torch.zeros(3), scalars, scalars)
    assert (new.shape, new.dtype) == (state.shape, state.dtype)


def test_a_schedule_is_read_without_torch() -> None:
    program = (
        "import sys; from engine.schedule import parse_schedule; print(parse_schedule('warmup:5', of='lr'));"
        " assert 'torch' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == "warmup:5\n"
