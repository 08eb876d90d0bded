"""What the full-screen chart hands to the library that draws it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from tests.tui.recording import Recording
from tests.tui.screen import expect, expect_shown, opened, text
from tests.tui.test_compare import compare_all, run_of
from tui.screens.chart import ChartScreen
from tui.screens.compare import ComparisonSource, Part
from tui.widgets.plane import PlaneView
from tui.widgets.plot import NumberAxis, Plot, pieces

_FRAME = "━━━━"
"""A piece of the frame of a plot."""


@contextmanager
def held(owner: type, method: str, *, only: Part | None = None) -> Iterator[Event]:
    """Have a method that reads wait until the event is set, or the test is over."""
    may_read = Event()
    read = getattr(owner, method)

    def wait_and_read(*arguments: Any) -> Any:
        if only is None or arguments[1].part is only:
            may_read.wait()
        return read(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, wait_and_read)
        try:
            yield may_read
        finally:
            may_read.set()


def _pieces(values: list[float], columns: int = 100) -> list[tuple[list[float], list[float]]]:
    steps = np.arange(len(values), dtype=np.float64)
    return [(x.tolist(), y.tolist()) for x, y in pieces(steps, np.array(values, dtype=np.float64), columns)]


def test_what_is_not_finite_parts_a_curve() -> None:
    nan, inf = float("nan"), float("inf")
    assert _pieces([nan, 1.0, 2.0, inf, nan, 3.0]) == [([1, 2], [1.0, 2.0]), ([5], [3.0])]
    assert _pieces([nan, nan]) == []
    assert _pieces([]) == []
    assert _pieces([4.0]) == [([0], [4.0])]


@pytest.mark.parametrize("count", [1000, 4321, 50_000])
def test_a_long_curve_keeps_its_ends_and_extremes_in_few_points(count: int) -> None:
    values = [1.0] * count
    values[count // 3], values[count // 2] = -9.0, 5.0
    ((steps, kept),) = _pieces(values)
    assert len(steps) <= 4 * 100 + 2 * (count % 200)
    assert len(steps) < 1000
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, count - 1)
    assert steps[kept.index(-9.0)] == count // 3
    assert steps[kept.index(5.0)] == count // 2
    assert all(values[int(step)] == value for step, value in zip(steps, kept, strict=True))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-0.2, 0.05, "-0.20 -0.15 -0.10 -0.05 0.00 0.05"),
        (-0.16, 0.02, "-0.16 -0.14 -0.12 -0.10 -0.08 -0.06 -0.04 -0.02 0.00 0.02"),
        (-4.0, -0.5, "-4.0 -3.5 -3.0 -2.5 -2.0 -1.5 -1.0 -0.5"),
    ],
)
def test_zero_on_an_axis_has_no_minus(low: float, high: float, labels: str) -> None:
    shown = NumberAxis().get_ticks_and_labels(low, high)[1]
    assert " ".join(shown) == labels


def test_the_library_is_imported_when_the_chart_is_opened_and_not_before() -> None:
    program = (
        "import sys, tui.app, tui.screens.explorer; print({'numpy', 'textual_plot'} & set(sys.modules)); "
        "import tui.screens.chart; print('textual_plot' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.split("\n")[:2] == ["set()", "True"]


async def test_a_chart_is_blank_until_its_values_are_read(database: Path, recording: Recording) -> None:
    run_of(recording)
    async with opened(database) as user:
        await expect_shown(user, "1 run", "step 4")
        with held(ChartScreen, "_read_values") as may_read:
            await user.press("C")
            await expect(user, lambda: user.app.screen.query(Plot) and user.app.screen.query_one(Plot).size)
            await user.pause()
            assert _FRAME not in text(user)
            may_read.set()
            await expect_shown(user, _FRAME, "5 rows")


async def test_the_plane_is_blank_until_the_vectors_are_read(database: Path, recording: Recording) -> None:
    for end in (1, 2):
        run_of(recording, zs=np.eye(3)[[0, end]].tolist())
    async with opened(database) as user:
        await compare_all(user, 2)
        await expect_shown(user, _FRAME)
        with held(ComparisonSource, "look", only=Part.PLANE) as may_read:
            await user.press("5")
            await expect_shown(user, "[5 plane]")
            await expect(user, lambda: user.app.screen.query_one(PlaneView).size)
            await user.pause()
            assert _FRAME not in text(user)
            may_read.set()
            await expect_shown(user, _FRAME, "●A", "●B")
