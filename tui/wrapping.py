"""Text in several tones, broken into lines of a width."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.cells import cell_len

from tui.text import clusters

Piece = tuple[str, str]
"""Safe text, and the name of its tone; `` is the plain one."""

Line = list[Piece]

_Cluster = tuple[str, str, int]
"""What a terminal draws as one character, its tone, its cells."""


def wrapped(pieces: Iterable[Piece], width: int) -> list[Line]:
    """Lines of at most `width` cells, broken at spaces, and inside a word only where it fills a line."""
    lines: list[Line] = []
    line: list[_Cluster] = []
    used = 0
    after_space = 0
    for piece, tone in pieces:
        for cluster in clusters(piece):
            cells = cell_len(cluster)
            if used + cells > width and line:
                if cluster == " ":
                    lines.append(_joined(line))
                    line, used, after_space = [], 0, 0
                    continue
                kept = after_space or len(line)
                lines.append(_joined(line[: after_space - 1 if after_space else kept]))
                line = line[kept:]
                used, after_space = sum(cells for _, _, cells in line), 0
            line.append((cluster, tone, cells))
            used += cells
            if cluster == " ":
                after_space = len(line)
    return [*lines, _joined(line)] if line or not lines else lines


def flowed(items: Iterable[Line], width: int, gap: int) -> list[Line]:
    """Items beside one another as far as they fit, `gap` cells apart; none is broken unless it must be."""
    lines: list[Line] = []
    used = 0
    for item in items:
        cells = sum(cell_len(text) for text, _ in item)
        if lines and used + gap + cells <= width:
            lines[-1] += [(" " * gap, ""), *item]
            used += gap + cells
        elif cells <= width:
            lines.append(list(item))
            used = cells
        else:
            lines += wrapped(item, width)
            used = width
    return lines


def indented(lines: Iterable[Line], cells: int) -> list[Line]:
    """The lines with spaces before them."""
    return [[(" " * cells, ""), *line] for line in lines]


def _joined(line: Sequence[_Cluster]) -> Line:
    return [
        ("".join(cluster for cluster, _, _ in group), tone)
        for tone, group in groupby(line, lambda one: one[1])
    ]
