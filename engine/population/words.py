"""Texts made of the words of other texts."""

from collections.abc import Sequence

import numpy as np

SPLICED, DROPPED = 0.5, 0.3
"""Shares of the texts that are spliced of two, and that lose a word; in the others one is replaced."""


def varied(texts: Sequence[str], parents: Sequence[int], draws: np.random.Generator) -> list[str]:
    """One text from each two parents: spliced, without a word, or with one of the other's words.

    Args:
        texts: those to choose from.
        parents: places of texts, two for each result.
        draws: where the chances come from.
    """
    found = []
    for first, second in zip(parents[::2], parents[1::2], strict=True):
        words, others = texts[first].split(), texts[second].split()
        if words and others:
            found.append(" ".join(_variation(words, others, draws)))
    return found


def _variation(words: list[str], others: list[str], draws: np.random.Generator) -> list[str]:
    kind = draws.random()
    if kind < SPLICED:
        # No longer than the longer one, so that texts do not grow from generation to generation.
        taken = int(draws.integers(len(words) + 1))
        least = max(0, taken + len(others) - max(len(words), len(others)))
        return words[:taken] + others[draws.integers(least, len(others) + 1) :]
    place = int(draws.integers(len(words)))
    if kind < SPLICED + DROPPED:
        return words[:place] + words[place + 1 :]
    return [*words[:place], others[draws.integers(len(others))], *words[place + 1 :]]
