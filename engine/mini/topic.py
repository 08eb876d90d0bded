"""Does a sentence go on about what the sentence before it is about?"""

import re
from collections import Counter
from collections.abc import Iterable

COMMON_WORDS = 100
"""So many of the corpus's most frequent words say nothing about a topic."""

_WORD = re.compile(r"[a-z']+")


def words(sentence: str) -> list[str]:
    return _WORD.findall(sentence.lower())


def common_words(sentences: Iterable[str], count: int = COMMON_WORDS) -> frozenset[str]:
    """The most frequent words of the sentences, each as often counted as it is there."""
    counts = Counter(word for sentence in sentences for word in words(sentence))
    return frozenset(word for word, _ in counts.most_common(count))


def same_topic(first: str, second: str, common: frozenset[str]) -> bool:
    """Whether the two share a word that is not a common one.

    >>> same_topic("Mom made a cake.", "The cake was big.", frozenset({"the", "a", "was"}))
    True
    >>> same_topic("Mom made a cake.", "The sun was hot.", frozenset({"the", "a", "was"}))
    False
    """
    return not (set(words(first)) - common).isdisjoint(words(second))
