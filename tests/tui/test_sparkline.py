"""Curves in text, compared as strings."""

import math

import pytest

from tui.loss_curve import LossCurve
from tui.sparkline import braille_lines, sparkline
from tui.widgets.loss_strip import strip_lines


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 10, ""),
        ([3.0], 10, "▁"),
        ([1.0, 1.0], 10, "▁▁"),
        ([7, 6, 5, 4, 3, 2, 1, 0], 10, "█▇▆▅▄▃▂▁"),
        ([1.0, None, 0.0], 10, "█ ▁"),
        ([math.nan, None], 10, "  "),
        ([math.inf, 1.0, 0.0], 10, " █▁"),
        ([4, 4, 0, 0], 2, "█▁"),
        ([-0.05, -0.5], 5, "█▁"),
        ([1.0, 2.0], 0, ""),
    ],
)
def test_a_sparkline_is_scaled_to_its_own_values(values: list[float | None], width: int, drawn: str) -> None:
    assert sparkline(values, width) == drawn


def test_a_descent_in_braille_falls_from_the_upper_left_to_the_lower_right() -> None:
    ranges = [(value, value) for value in (3.0, 2.0, 1.0, 0.0)]
    assert braille_lines(ranges, 2, 1, (0.0, 3.0)) == ["⠑⢄"]
    upper, lower = braille_lines([(7.0, 7.0), (0.0, 0.0)], 1, 2, (0.0, 7.0))
    assert (upper, lower) == ("⢱", "⢸")


def test_a_gap_stays_a_gap_in_braille() -> None:
    assert braille_lines([(1.0, 1.0), None, None, (1.0, 1.0)], 2, 1, (0.0, 1.0)) == ["⠁⠈"]
    assert braille_lines([None], 3, 2, (0.0, 1.0)) == ["   ", "   "]
    assert braille_lines([], 3, 1, (0.0, 1.0)) == ["   "]


def test_a_level_curve_is_a_line_in_the_middle() -> None:
    assert braille_lines([(2.0, 2.0)], 3, 1, (2.0, 2.0)) == ["⠒⠒⠒"]


def test_the_curve_of_a_long_run_keeps_its_extremes_in_bounded_room() -> None:
    curve = LossCurve()
    for step in range(50_000):
        curve.append(-9.0 if step == 31_415 else 5.0 if step == 100 else math.nan if step == 7 else 1.0)
    assert len(curve.ranges) <= 512
    assert curve.span == (-9.0, 5.0)
    covered = 50_000 / len(curve.ranges)
    lowest = next(place for place, bucket in enumerate(curve.ranges) if bucket and bucket[0] == -9.0)
    assert abs(lowest * covered - 31_415) < 2 * covered


def test_a_curve_without_a_finite_loss_has_no_span() -> None:
    curve = LossCurve()
    curve.append(None)
    curve.append(math.inf)
    assert curve.span is None
    assert strip_lines(curve, 1.0, 40, 4) == []


def test_the_strip_names_its_edges_and_its_scale() -> None:
    curve = LossCurve()
    for loss in (4.0, 2.0, 1.0):
        curve.append(loss)
    scales = [scale.strip() for scale, _ in strip_lines(curve, 1.0, 40, 5)]
    assert scales == ["4.0000", "", "loss", "", "1.0000"]
    curve.append(0.01)
    assert strip_lines(curve, 1.0, 40, 5)[2][0].strip() == "log loss"


def test_the_strip_takes_the_part_of_the_width_that_is_done() -> None:
    curve = LossCurve()
    for loss in (3.0, 2.0, 1.0):
        curve.append(loss)
    half = [len(line.rstrip()) for _, line in strip_lines(curve, 0.5, 51, 4)]
    assert max(half) == 20
