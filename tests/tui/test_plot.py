"""What the full-screen chart hands to the library that draws it."""

import subprocess
import sys

import numpy as np
import pytest

from tui.widgets.plot import pieces


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


def test_the_library_is_imported_when_the_chart_is_opened_and_not_before() -> None:
    program = (
        "import sys, tui.app, tui.screens.explorer; print({'numpy', 'textual_plot'} & set(sys.modules)); "
        "import tui.screens.chart; print('textual_plot' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.split("\n")[:2] == ["set()", "True"]
