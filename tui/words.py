"""Which words of a text another text does not have in their place."""

import re
from difflib import SequenceMatcher

Span = tuple[int, int]
"""Characters from the first up to, and without, the second."""

_WITHOUT_SPACES = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts that put no spaces between words: each character counts as one."""

WORD = re.compile(rf"[{_WITHOUT_SPACES}]|[^\W{_WITHOUT_SPACES}]+(?:['’][^\W{_WITHOUT_SPACES}]+)*|[^\w\s]")
"""A word, or a punctuation mark."""

_MOST_WORDS = 200
"""Words up to which every alignment is tried; beyond, none is built on a word that is all over a text."""


def changed_spans(before: str, after: str) -> list[Span]:
    """Where `after` has words that `before` lacks at that place, in order.

    Punctuation marks count as words. The space between two neighbouring new words belongs to them.
    """
    if before == after:
        return []
    places = [match.span() for match in WORD.finditer(after)]
    words = [after[first:end] for first, end in places]
    old = WORD.findall(before)
    head = _common_length(old, words)
    tail = _common_length(old[head:][::-1], words[head:][::-1])
    old, new = old[head : len(old) - tail], words[head : len(words) - tail]
    is_long = max(len(old), len(new)) > _MOST_WORDS
    matcher = SequenceMatcher(None, old, new, autojunk=is_long)
    return [
        (places[head + first][0], places[head + end - 1][1])
        for kind, _, _, first, end in matcher.get_opcodes()
        if kind in ("replace", "insert")
    ]


def _common_length(first: list[str], second: list[str]) -> int:
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length
