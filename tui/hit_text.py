"""A text in which something was found, cut so that the first place is seen, with the places marked."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from engine.store.searching import Span
from tui.text import ELLIPSIS, clusters, safe_text
from tui.wrapping import Piece

_MOST_CHARACTERS = 4
"""Characters that are looked at for each cell: some of a text take none."""


def excerpt(text: str, spans: Sequence[Span], width: int) -> list[Piece]:
    """Safe text in at most `width` cells, what was found in the tone `changed`.

    Args:
        text: Any text.
        spans: Places in it, in order and apart.
        width: Cells.
    """
    start = _start(text, spans[0][0] if spans else 0, width)
    shown = text[: start + _MOST_CHARACTERS * width]
    pieces: list[Piece] = [(ELLIPSIS, "")] if start else []
    at = start
    for begin, end in spans:
        pieces += [(safe_text(shown[at:begin]), ""), (safe_text(shown[begin:end]), "changed")]
        at = end
    pieces.append((safe_text(shown[at:]), ""))
    return cut([piece for piece in pieces if piece[0]], width)


def cut(pieces: Iterable[Piece], width: int) -> list[Piece]:
    """Pieces in at most `width` cells; what is longer ends in `…`."""
    pieces = list(pieces)
    if sum(cell_len(text) for text, _ in pieces) <= width:
        return pieces
    kept: list[Piece] = []
    room = width - len(ELLIPSIS)
    for text, tone in pieces:
        taken = ""
        for cluster in clusters(text):
            room -= cell_len(cluster)
            if room < 0:
                return [*kept, (taken, tone), (ELLIPSIS[: max(width, 0)], "")]
            taken += cluster
        kept.append((text, tone))
    return kept


def _start(text: str, first: int, width: int) -> int:
    """Where the excerpt begins: at a word some way before the first place, if that would not be seen."""
    if first < width // 2 or cell_len(safe_text(text, limit=width + 1)) <= width:
        return 0
    start = first - width // 3
    return text.find(" ", start, first) + 1 or start
