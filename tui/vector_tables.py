"""Neighbours of a z, and points between two, as lines of a terminal, of a pipe, and as JSON."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from shutil import get_terminal_size

from rich.cells import cell_len

from engine.export import short_number
from engine.nearest import Neighbour
from engine.vector_path import Point
from tui.numbers import similarity_text
from tui.text import fit_text, safe_text

GAP = "  "


def neighbour_object(neighbour: Neighbour) -> dict[str, object]:
    """A neighbour as `nearest --format jsonl` names it."""
    return {
        "type": "neighbour",
        "run": neighbour.run,
        "session": neighbour.session,
        "number": neighbour.number,
        "step": neighbour.step,
        "kind": neighbour.kind,
        "cosine": neighbour.cosine,
        "text": neighbour.text,
        "text_step": neighbour.text_step,
    }


def point_object(point: Point) -> dict[str, object]:
    """A point as `interpolate --format jsonl` names it."""
    return {"type": "point", **asdict(point)}


def neighbour_text(neighbour: Neighbour) -> str:
    """What a neighbour stands for, safe to show; where that was decoded in another row, which one."""
    if neighbour.text is None:
        return "not decoded"
    text = safe_text(neighbour.text)
    return text if neighbour.text_step == neighbour.step else f"(step {neighbour.text_step}) {text}"


def print_neighbours(neighbours: Sequence[Neighbour]) -> None:
    """Print neighbours as a table; on a terminal texts are cut to fit."""
    homes = [safe_text(f"{one.session}/{one.number}", limit=24) for one in neighbours]
    wide = max(len("session"), *map(len, homes))
    print(f"{'cosine':>7}{GAP}{'run':>5}{GAP}{'step':>6}{GAP}{'kind':<10}{GAP}{'session':<{wide}}{GAP}text")
    for home, one in zip(homes, neighbours, strict=True):
        numbers = f"{one.cosine:>z7.4f}{GAP}{one.run:>5}{GAP}{one.step:>6}{GAP}{one.kind:<10}"
        print(_cut(f"{numbers}{GAP}{fit_text(home, wide)}{GAP}{neighbour_text(one)}"))


def print_points(points: Sequence[Point]) -> None:
    """Print the points of an interpolation as a table; on a terminal texts are cut to fit."""
    texts = [safe_text(point.decoded_prediction) for point in points]
    wide = max(len("decoded prediction"), min(max(map(cell_len, texts)), 60))
    if sys.stdout.isatty():
        wide = max((get_terminal_size().columns - len(POINT_HEADER) - 2 * len(GAP)) // 2, len("prediction"))
    print(_cut(f"{POINT_HEADER}{GAP}{fit_text('decoded prediction', wide)}{GAP}decoded z"))
    for point, text in zip(points, texts, strict=True):
        shown = fit_text(text, wide) if sys.stdout.isatty() else text + " " * (wide - cell_len(text))
        print(_cut(f"{point_numbers(point)}{GAP}{shown}{GAP}{safe_text(point.decoded_z)}"))


POINT_HEADER = GAP.join(("    t", "    loss", "   sim", "cos from", " cos to", "    |z|", "✓"))
"""What stands over `point_numbers`."""


def point_numbers(point: Point) -> str:
    """The numbers of a point, each in its column."""
    loss = "not fin." if point.loss is None else short_number(point.loss)
    similarity = "" if point.similarity is None else similarity_text(point.similarity)
    return GAP.join(
        (
            f"{point.t:>5.3f}",
            f"{loss:>8}",
            f"{similarity:>6}",
            f"{point.cosine_from:>z8.3f}",
            f"{point.cosine_to:>z7.3f}",
            f"{point.norm:>7.3f}",
            "✓" if point.match else " ",
        )
    )


def _cut(line: str) -> str:
    """A line of safe text, cut to the terminal; whole in a pipe."""
    return safe_text(line, limit=get_terminal_size().columns) if sys.stdout.isatty() else line.rstrip()
