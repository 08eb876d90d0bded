"""Curves in text, compared as strings."""

import math

import pytest

from tui.sparkline import braille_lines, sparkline


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
