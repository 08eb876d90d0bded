"""A curve in one line of text, or in a few lines of braille dots."""

import math
from collections.abc import Sequence

Range = tuple[float, float]
"""Lowest and highest value of a bucket of steps."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_BRAILLE_BLANK = 0x2800
_BRAILLE_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character: by column, then by row from the top."""


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


def braille_lines(ranges: Sequence[Range | None], width: int, height: int, span: Range) -> list[str]:
    """Draw a curve in `height` lines of `width` braille characters, two by four dots each.

    Args:
        ranges: What each bucket of the curve covers, from the first to the last; None leaves a gap.
        width: Characters a line.
        height: Lines.
        span: The values at the lower and the upper edge.
    """
    columns, rows = width * 2, height * 4
    bits = [[0] * width for _ in range(height)]
    low, high = span
    scale = (rows - 1) / (high - low) if high > low else 0.0
    previous: tuple[int, int] | None = None
    for column in range(columns if ranges else 0):
        bucket = _at(ranges, column, columns)
        if bucket is None:
            previous = None
            continue
        bottom, top = (
            min(max(round((value - low) * scale), 0), rows - 1) if scale else rows // 2 for value in bucket
        )
        lowest, highest = bottom, top
        if previous is not None:  # close the vertical gap to the column before
            lowest, highest = min(bottom, previous[1] + 1), max(top, previous[0] - 1)
        for dot in range(lowest, highest + 1):
            row = rows - 1 - dot
            bits[row // 4][column // 2] |= _BRAILLE_DOTS[column % 2][row % 4]
        previous = bottom, top
    return ["".join(chr(_BRAILLE_BLANK + cell) if cell else " " for cell in line) for line in bits]


def _at(ranges: Sequence[Range | None], column: int, columns: int) -> Range | None:
    """What a column of dots covers: its bucket, or a point between two where there are more columns."""
    if len(ranges) >= columns or len(ranges) == 1:
        return ranges[column * len(ranges) // columns]
    place = column * (len(ranges) - 1) / max(columns - 1, 1)
    before, after = ranges[math.floor(place)], ranges[math.ceil(place)]
    if before is None or after is None:
        return None
    part = place % 1
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
