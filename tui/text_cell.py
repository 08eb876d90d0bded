"""A text in the cells of a column: cut to fit, with the words that differ from another text marked."""

from rich.cells import cell_len

from tui.text import ELLIPSIS, safe_text
from tui.words import WORD, Span, changed_spans
from tui.wrapping import Piece

_ALIGNED_CELLS = 128
"""Cells beyond the column that are compared too. A text may have ten thousand characters, so not all are."""


def text_cell(text: str, other: str | None, width: int) -> list[Piece]:
    """The safe text in at most `width` cells, its words that `other` lacks in the tone `changed`.

    Where the first of them would be cut off, words are left out in front, so that it is seen.

    Args:
        text: Any text.
        other: What to compare it with; None: nothing is marked.
        width: Cells of the column.
    """
    if other is None or width < 1:
        return [(safe_text(text, limit=max(width, 0)), "")]
    whole = safe_text(text, limit=width + _ALIGNED_CELLS)
    spans = changed_spans(safe_text(other, limit=width + 2 * _ALIGNED_CELLS), whole)
    shown = safe_text(whole, limit=width)
    start = 0
    lead: list[Piece] = []
    if spans and shown != whole and spans[0][0] >= len(shown) - len(ELLIPSIS):
        start = _first_shown(whole, spans[0], width)
        lead = [(ELLIPSIS, "")]
        shown = safe_text(whole[start:], limit=width - len(ELLIPSIS))
    kept = len(shown) if shown == whole[start:] else len(shown) - len(ELLIPSIS)
    pieces, end = lead, 0
    for first, last in spans:
        if first - start < kept:
            pieces.append((shown[end : first - start], ""))
            end = min(last - start, kept)
            pieces.append((shown[first - start : end], "changed"))
    pieces.append((shown[end:], ""))
    return [piece for piece in pieces if piece[0]]


def _first_shown(text: str, changed: Span, width: int) -> int:
    """Where the first word begins from which on a change, or its first half column, is seen."""
    first, last = changed
    end = min(last, first + width // 2)
    starts = (match.start() for match in WORD.finditer(text, 0, first + 1))
    room = width - 2 * len(ELLIPSIS)
    return next((start for start in starts if start and cell_len(text[start:end]) <= room), first)
