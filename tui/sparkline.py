"""A curve in one line of text, or in a few lines of braille dots."""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Range = tuple[float, float]
"""Lowest and highest value of a bucket of steps."""

Curve: TypeAlias = "array[float]"
"""Values of a sparkline; not a number where there is none."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_BRAILLE_BLANK = 0x2800
_LEFT_DOTS, _RIGHT_DOTS = (0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08)
"""Bits of a braille character: by column, from the lowest row up."""


def _cell(left: int, right: int) -> str:
    """The character with the dots of two columns, each given as four bits, the lowest first."""
    code = sum(dot for row, dot in enumerate(_LEFT_DOTS) if left >> row & 1)
    code += sum(dot for row, dot in enumerate(_RIGHT_DOTS) if right >> row & 1)
    return chr(_BRAILLE_BLANK + code) if code else " "


_CELLS = [_cell(pair >> 4, pair & 15) for pair in range(256)]


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Draw values as at most `width` block characters, scaled to their own lowest and highest.

    A value that is None or not finite leaves a gap. More values than cells are averaged.
    """
    cells = [_mean(bucket) for bucket in _divide(values, width)]
    finite = [cell for cell in cells if cell is not None]
    if not finite:
        return " " * len(cells)
    low, high = min(finite), max(finite)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if cell is None else _BLOCKS[round((cell - low) * scale)] for cell in cells)


def packed(values: Iterable[float | None]) -> Curve:
    """Values for `sparkline` in a fifth of the memory of a tuple: there may be thousands of curves."""
    return array("f", [math.nan if value is None else value for value in values])


def braille_lines(ranges: Sequence[Range | None], width: int, height: int, span: Range) -> list[str]:
    """Draw a curve in `height` lines of `width` braille characters, two by four dots each.

    Args:
        ranges: What each bucket of the curve covers, from the first to the last; None leaves a gap.
        width: Characters a line.
        height: Lines.
        span: The values at the lower and the upper edge.
    """
    columns, rows = width * 2, height * 4
    low, high = span
    scale = (rows - 1) / (high - low) if high > low else 0.0
    dots = [
        bucket if bucket is None else (_dot(bucket[0], low, scale, rows), _dot(bucket[1], low, scale, rows))
        for bucket in (_at(ranges, column, columns) for column in range(columns if ranges else 0))
    ]
    stacks = [0] * columns
    """Each column's dots as bits, the lowest first."""
    previous: tuple[int, int] | None = None
    for column, dot in enumerate(dots):
        if dot is not None:
            bottom, top = dot
            if previous is not None:  # close the vertical gap to the column before
                bottom, top = min(bottom, previous[1] + 1), max(top, previous[0] - 1)
            stacks[column] = (2 << top) - (1 << bottom)
        previous = dot
    pairs = list(zip(stacks[::2], stacks[1::2], strict=True))
    return [
        "".join([_CELLS[(left >> shift & 15) << 4 | (right >> shift & 15)] for left, right in pairs])
        for shift in range(4 * (height - 1), -1, -4)
    ]


def _dot(value: float, low: float, scale: float, rows: int) -> int:
    """Row of a value from the lower edge, in dots."""
    return min(max(round((value - low) * scale), 0), rows - 1) if scale else rows // 2


def _at(ranges: Sequence[Range | None], column: int, columns: int) -> Range | None:
    """What a column of dots covers: its bucket, or a point between two where there are more columns."""
    if len(ranges) >= columns or len(ranges) == 1:
        return ranges[column * len(ranges) // columns]
    place = column * (len(ranges) - 1) / max(columns - 1, 1)
    before, after = ranges[math.floor(place)], ranges[math.ceil(place)]
    if before is None or after is None:
        return None
    return between(before, after, place % 1)


def between(before: Range, after: Range, part: float) -> Range:
    """A point on the way from one range to another."""
    low, high = (first + (second - first) * part for first, second in zip(before, after, strict=True))
    return low, high


def _divide(values: Sequence[float | None], width: int) -> list[Sequence[float | None]]:
    count = min(len(values), max(width, 0))
    return [
        values[index * len(values) // count : (index + 1) * len(values) // count] for index in range(count)
    ]


def _mean(bucket: Sequence[float | None]) -> float | None:
    finite = [value for value in bucket if value is not None and math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else None
