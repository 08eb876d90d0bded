"""Show text that a model decoded: it is hostile until every character in it has been looked at.

A decoded sentence may hold escape sequences, right-to-left overrides, invisible characters or ten thousand
combining marks. What comes out of here moves no cursor, turns no direction, hides nothing, and takes the
number of terminal cells that it is measured to take. It is plain text and still has to be shown as such,
never parsed as markup.
"""

import unicodedata
from collections.abc import Iterator

from rich.cells import cell_len, get_character_cell_size

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"

_JOINER = "\N{ZERO WIDTH JOINER}"
_EMOJI_PRESENTATION = "\N{VARIATION SELECTOR-16}"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_HANGUL_JAMO = range(0x1160, 0x1200)
"""Vowels and final consonants: zero cells wide, because they join the syllable before them."""
_HANGUL_FILLER = "\u115f"
"""Two cells of nothing."""
_EMOJI_PLANE = range(0x1F000, 0x20000)

_MAX_MARKS = 4
"""Combining marks kept on one character: enough for every written language, too few to climb lines."""


def safe_text(text: str, *, limit: int | None = None) -> str:
    """Return one line of text that is harmless on a terminal.

    Control characters become control pictures (ESC is `␛`, a line break `␊`), other spaces a space, and
    everything that is invisible, directional, unassigned or private `�`. Letters, CJK and emoji, joined
    ones too, stay as they are.

    Args:
        text: Any string, lone surrogates included.
        limit: Most terminal cells that the result may take; what is longer ends in `…`.
    """
    if text.isascii() and text.isprintable():
        return text if limit is None or len(text) <= limit else text[: max(limit - 1, 0)] + ELLIPSIS[:limit]
    if limit is None:
        return "".join(clusters(text))
    kept: list[tuple[str, int]] = []
    width = 0
    for cluster in clusters(text):
        cells = cell_len(cluster)
        kept.append((cluster, cells))
        width += cells
        if width > limit:
            break
    else:
        return "".join(cluster for cluster, _ in kept)
    while kept and width > limit - 1:
        width -= kept.pop()[1]
    return "".join(cluster for cluster, _ in kept) + ELLIPSIS[:limit]


def fit_text(text: str, width: int) -> str:
    """Return the safe text in exactly `width` cells: cut with `…` or padded with spaces on the right."""
    shown = safe_text(text, limit=width)
    return shown + " " * (width - cell_len(shown))


def clusters(text: str) -> Iterator[str]:
    """Divide text into what a terminal draws as one character, each already harmless."""
    index, length = 0, len(text)
    while index < length:
        base = text[index]
        index += 1
        if ord(base) in _FLAG_LETTERS:
            if index < length and ord(text[index]) in _FLAG_LETTERS:
                yield base + text[index]
                index += 1
            else:
                yield chr(ord(base) - _FLAG_LETTERS.start + ord("A"))
            continue
        cluster = _harmless(base)
        if cluster != base:
            yield cluster
            continue
        marks = 0
        while index < length:
            character = text[index]
            if character == _JOINER and index + 1 < length and _joins(cluster, text[index + 1]):
                cluster += character + text[index + 1]
                index += 2
                continue
            if not _attaches(cluster, character) or marks == _MAX_MARKS:
                break
            cluster += character
            marks += 1
            index += 1
        yield cluster


def _harmless(character: str) -> str:
    """The character itself where it may stand alone, else a visible stand-in."""
    code = ord(character)
    category = unicodedata.category(character)
    if category == "Cc":
        if code < 0x20:
            return chr(0x2400 + code)
        return "\N{SYMBOL FOR DELETE}" if code == 0x7F else REPLACEMENT
    if category in ("Zl", "Zp"):
        return "\N{SYMBOL FOR LINE FEED}"
    if category == "Zs":
        return character if character == "\N{IDEOGRAPHIC SPACE}" else " "
    if category[0] == "C" or character == _HANGUL_FILLER or get_character_cell_size(character) == 0:
        return REPLACEMENT
    return character


def _attaches(cluster: str, character: str) -> bool:
    """Whether a character of no width of its own belongs to the cluster before it."""
    code = ord(character)
    if code in _SKIN_TONES:
        return _is_emoji(cluster[-1]) and cell_len(cluster) == 2
    if character == _EMOJI_PRESENTATION:
        return cell_len(cluster + character) == 2 and cluster[-1] != character
    if code in _HANGUL_JAMO:
        return unicodedata.category(cluster[-1]) == "Lo" and cell_len(cluster[0]) == 2 and code != 0x1160
    is_mark = unicodedata.category(character) in ("Mn", "Me", "Mc") and not _is_ignorable(code)
    return is_mark and get_character_cell_size(character) == 0


def _joins(cluster: str, following: str) -> bool:
    """Whether a joiner between the two makes one emoji, as in a family or a profession."""
    return cell_len(cluster) == 2 and _is_emoji(cluster[0]) and _is_emoji(following)


def _is_emoji(character: str) -> bool:
    code = ord(character)
    if code in _SKIN_TONES:
        return True
    is_symbol = unicodedata.category(character) == "So"
    return is_symbol and (code in _EMOJI_PLANE or 0x2190 <= code < 0x2C00) and code not in _FLAG_LETTERS


def _is_ignorable(code: int) -> bool:
    """Variation selectors and other marks that are drawn as nothing at all."""
    return (
        0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
        or 0x180B <= code <= 0x180F
        or code in (0x034F, 0x17B4, 0x17B5)
    )
