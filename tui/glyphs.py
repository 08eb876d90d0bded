"""Which signs are drawn: what a screen paints, and its stand-ins in ASCII for a terminal without the rest.

Widgets paint one set of signs. On the way to the terminal, where ASCII is asked for, each sign that is not a
letter is replaced by one of the same width, so no widget has to know. A model's words stay what they are.
"""

import unicodedata
from functools import cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_BRAILLE = range(0x2800, 0x2900)
_BOXES = range(0x2500, 0x2580)
_BLOCKS = range(0x2580, 0x25A0)
_SHAPES = range(0x25A0, 0x2600)
_ARROWS = range(0x2190, 0x2200)
_SYMBOLS = range(0x2190, 0x2C00)
"""Everything that is drawn and not written, the ranges above included."""

_SIGNS = {
    # States of a run, each with a sign of its own.
    "○": "o", "◌": ":", "●": "*", "◆": "=", "■": "#", "□": "%", "✗": "x", "✓": "v", "·": ".",
    # Sparklines, by height.
    "▁": "_", "▂": ".", "▃": ",", "▄": "-", "▅": "~", "▆": "=", "▇": "+", "█": "#",
    "▔": "-", "▏": "|", "▎": "|", "▌": "|", "▊": "|", "▐": "|", "▕": "|",
    "←": "<", "→": ">", "↑": "^", "↓": "v", "…": "~", "×": "x", "–": "-", "—": "-", "−": "-",
    "▶": ">", "▸": ">", "►": ">", "▼": "v", "▾": "v", "◀": "<", "◂": "<", "▲": "^", "▴": "^",
    "�": "?", "‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "≤": "<", "≥": ">", "∞": "I",
    "⏎": "<", "⌫": "<", "≠": "!", "‹": "<", "›": ">",
    "🔎": "? ", "≈": "~", "±": "+",
}  # fmt: skip

_DOT_ROWS = ((0x01 | 0x08, 0), (0x02 | 0x10, 1), (0x04 | 0x20, 2), (0x40 | 0x80, 3))
"""Bits of a braille character that lie in each of its four rows, from the top."""


class AsciiFilter(LineFilter):
    """Replaces signs in painted lines."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments with other signs; codes for the terminal pass."""
        return [
            segment
            if segment.control or segment.text.isascii()
            else segment._replace(text=ascii_text(segment.text))
            for segment in segments
        ]


def ascii_text(text: str) -> str:
    """The text with every sign that is drawn, and is no letter, replaced by one of ASCII as wide."""
    return "".join(map(ascii_sign, text))


@cache
def ascii_sign(character: str) -> str:
    """What stands in for one character; letters, and signs that are two cells wide, stay."""
    if character in _SIGNS:
        return _SIGNS[character]
    code = ord(character)
    if code not in _SYMBOLS or cell_len(character) != 1:
        return character
    if code in _BRAILLE:
        return _braille_sign(code - _BRAILLE.start)
    if code in _BOXES:
        return _box_sign(unicodedata.name(character))
    if code in _BLOCKS:
        return "#"
    if code in _SHAPES:
        return "*"
    return ">" if code in _ARROWS else "?"


def _braille_sign(bits: int) -> str:
    """A line of the height at which the dots are."""
    rows = [row for dots, row in _DOT_ROWS if bits & dots]
    if not rows:
        return " "
    top, bottom = rows[0], rows[-1]
    if bottom - top >= 2:
        return "|"
    return "'" if top == 0 else "_" if bottom == 3 else "-"


def _box_sign(name: str) -> str:
    if name.endswith("HORIZONTAL") and "VERTICAL" not in name:
        return "-"
    return "|" if name.endswith("VERTICAL") and "HORIZONTAL" not in name else "+"
