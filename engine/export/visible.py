"""Text of a model made harmless to look at, for files that people open."""

import unicodedata


def visible(text: str) -> str:
    """The text with stand-ins for what would be invisible, reorder the text or break the line."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    """The character, or a stand-in for one that would be invisible or break the line."""
    code, category = ord(character), unicodedata.category(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if category in ("Zl", "Zp"):
        return "\N{SYMBOL FOR LINE FEED}"
    if category[0] == "C" and character != "\N{ZERO WIDTH JOINER}":
        return "\N{REPLACEMENT CHARACTER}"
    return character
