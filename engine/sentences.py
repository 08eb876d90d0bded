"""Texts into sentences: each is embedded, and predicted, by itself."""

# Languages with rules of their own in sentencex, and those that it knows as relatives of one, by the first
# part of SONAR's names (ISO 639-3). It falls back to English by itself for what it does not know.
_CODES = {
    "acq": "ar", "ajp": "ar", "als": "sq", "amh": "am", "arb": "ar", "ars": "ar", "bak": "ba", "ben": "bn",
    "bul": "bg", "cat": "ca", "ces": "cs", "dan": "da", "deu": "de", "ell": "el", "eng": "en", "fin": "fi",
    "fra": "fr", "glg": "gl", "guj": "gu", "hin": "hi", "hye": "hy", "ita": "it", "jpn": "ja", "kan": "kn",
    "kaz": "kk", "lim": "li", "ltz": "lb", "mal": "ml", "mar": "mr", "mya": "my", "nld": "nl", "oci": "oc",
    "pan": "pa", "pol": "pl", "por": "pt", "rus": "ru", "san": "sa", "slk": "sk", "spa": "es", "tam": "ta",
    "tat": "tt", "tel": "te", "ukr": "uk",
}  # fmt: skip


def split_sentences(text: str, language: str = "eng_Latn") -> tuple[str, ...]:
    """Split a text into its sentences.

    Args:
        text: as somebody typed it, in one paragraph or more; valid Unicode.
        language: that it is in, as SONAR names it; one without rules of its own is split as English.

    Returns:
        The sentences with single spaces for white space; joined by spaces they are the text again, where the
        language puts one between sentences. None for a blank text. What has no letter, such as "1." before an
        item of a list, is left with the sentence after it, or at the end of a text with the one before it.

    Examples:
        >>> split_sentences('Mr. Smith went home. He said: "Come in!" She did.')
        ('Mr. Smith went home.', 'He said: "Come in!"', 'She did.')
    """
    import sentencex  # where it is needed: the viewer imports this module before its first paint

    code = language.partition("_")[0]
    sentences: list[str] = []
    wordless: list[str] = []
    for piece in sentencex.segment(_CODES.get(code, code), text):
        words = piece.split()
        if not any(character.isalpha() for character in piece):
            wordless += words
            continue
        sentences.append(" ".join([*wordless, *words]))
        wordless = []
    if wordless:
        last = [sentences.pop()] if sentences else []
        sentences.append(" ".join([*last, *wordless]))
    return tuple(sentences)
