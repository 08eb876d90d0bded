"""What a text from outside may be before any tokenizer sees it."""

MAX_TEXT_CHARACTERS = 10_000
"""A guard before any tokenizer runs; the limit that matters is the bundle's, in tokens."""


def checked_text(text: str) -> str:
    """Return a text that a model can be given, or raise a ValueError that says what is wrong with it."""
    if not text.strip():
        raise ValueError("empty; a sentence is needed")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"{len(text)} characters; at most {MAX_TEXT_CHARACTERS} are allowed")
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate; text must be valid Unicode") from None
    return text
