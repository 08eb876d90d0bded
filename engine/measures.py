"""What can be measured of a decoded row, each measure by its name.

A measure is one entry of `MEASURES`: the worker computes it, and columns, charts and exports read it from
there. Nothing here imports torch, and numpy comes with the vectors that are measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.store.vectors import VectorArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Reading:
    """What there is to measure of a decoded row; what is not known is None."""

    target: str
    """All target sentences, joined by spaces."""

    decoded_z: str | None = None
    decoded_prediction: str | None = None

    z: VectorArray | None = None
    """Effective z. # (D,)"""

    round_trip: VectorArray | None = None
    """encode(decode(z)). # (D,)"""

    init: VectorArray | None = None
    """The z that the run began with. # (D,)"""

    own_ce: float | None = None
    """Cross-entropy of z for its own decoded text, nats a token."""

    reread_ce: float | None = None
    """Cross-entropy of the target given the re-encoded text of z, nats a token."""

    reread_prediction: str | None = None
    """What the model predicts from the re-encoded text of z."""


@dataclass(frozen=True)
class Measure:
    """One number of a decoded row."""

    name: str
    """As it is stored and exported."""

    title: str
    """Head of its column: at most six cells."""

    description: str
    """One line."""

    value: Callable[[Reading], float | None]
    """The number; None where the reading does not have what it needs, or where it is not defined."""

    low: float | None = None
    high: float | None = None
    """The bounds of its values; None: there is none."""

    is_good_high: bool = False
    """Whether more is better."""


def word_error_rate(reading: Reading) -> float | None:
    """Words inserted, deleted and substituted in the prediction, for each word of the target.

    Words are what stands between white space. 0 for the target itself; above 1 where more is wrong than the
    target has words. None for a target without words.
    """
    target = reading.target.split()
    if reading.decoded_prediction is None or not target:
        return None
    from rapidfuzz.distance import Levenshtein  # where it is needed: the viewer imports this module first

    return Levenshtein.distance(target, reading.decoded_prediction.split()) / len(target)


def prefix(reading: Reading) -> float | None:
    """Share of the target's words that the prediction begins with, up to the first one that differs.

    None for a target without words.
    """
    target = reading.target.split()
    if reading.decoded_prediction is None or not target:
        return None
    pairs = zip(target, reading.decoded_prediction.split(), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) / len(target)


LONGEST_NGRAM = 4
DEGENERATE = 0.5
"""A text is degenerate when more than this share of its n-grams are repeated."""

NGRAM_CHARACTERS = 2000
"""What is counted of a text: more than a decoded sentence has, and counted within a few milliseconds."""

# The same one to 24 characters, neither white space nor digits, at least four times in a row.
_RUN = re.compile(r"([^\s\d]{1,24}?)\1{3,}")
_OUTER_PUNCTUATION = re.compile(r"^[\W_]+|[\W_]+$")


def repeated_ngrams(text: str) -> float | None:
    """Share of a text's word n-grams, n = 1 … 4, that it has had before: 1 − Σ distinct_n / Σ total_n.

    For one n this is seq-rep-n of Welleck et al., "Neural Text Generation with Unlikelihood Training" (2020),
    and rep-n of Su et al., "A Contrastive Framework for Neural Text Generation" (2022); the n-grams of the
    four lengths are pooled here, because a sentence has few of the longer ones. A text of fewer than n words
    has no n-gram of that length.

    Words are what stands between white space, without case and without punctuation around them. A run of at
    least four of the same characters in a row, "LilyLilyLilyLily", counts as so many words. Of a longer text
    the first 2,000 characters count.

    Returns:
        0 … 1; None for a text without words.
    """
    words = [_bare(word) for word in _RUN.sub(_as_words, text[:NGRAM_CHARACTERS].casefold()).split()]
    total = distinct = 0
    for length in range(1, min(LONGEST_NGRAM, len(words)) + 1):
        ngrams = list(zip(*(words[start:] for start in range(length)), strict=False))
        total += len(ngrams)
        distinct += len(set(ngrams))
    return 1 - distinct / total if total else None


def is_degenerate(text: str) -> bool:
    """Whether a text hardly says anything but the same again, as "Lily Lily Lily Lily" does."""
    share = repeated_ngrams(text)
    return share is not None and share > DEGENERATE


def degeneracy(reading: Reading) -> float | None:
    """Share of repeated n-grams in the prediction, see `repeated_ngrams`."""
    return None if reading.decoded_prediction is None else repeated_ngrams(reading.decoded_prediction)


def round_trip(reading: Reading) -> float | None:
    """Cosine of z and encode(decode(z)); None where one of them is zero or not finite."""
    if reading.z is None or reading.round_trip is None:
        return None
    z, again = reading.z.astype("float64"), reading.round_trip.astype("float64")  # (D,)
    norms = math.sqrt(z @ z) * math.sqrt(again @ again)
    if not norms:
        return None
    cosine = _finite(float(z @ again) / norms)
    return None if cosine is None else max(-1.0, min(1.0, cosine))


def own_ce(reading: Reading) -> float | None:
    """Cross-entropy of z for its own decoded text, nats a token."""
    return _finite(reading.own_ce)


def reread_ce(reading: Reading) -> float | None:
    """Cross-entropy of the target given the re-encoded text of z, nats a token."""
    return _finite(reading.reread_ce)


def reread_match(reading: Reading) -> float | None:
    """1 where the prediction from the re-encoded text of z is the target, else 0."""
    if reading.reread_prediction is None:
        return None
    return float(reading.reread_prediction.strip() == reading.target.strip())


def init_distance(reading: Reading) -> float | None:
    """Euclidean distance of z to the z that the run began with."""
    if reading.z is None or reading.init is None:
        return None
    difference = reading.z.astype("float64") - reading.init  # (D,)
    return _finite(math.sqrt(difference @ difference))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        measure.name: measure
        for measure in (
            Measure(
                "word_error_rate",
                "WER",
                "words of the prediction that are wrong, missing or too many, for each word of the target",
                word_error_rate,
                low=0,
            ),
            Measure(
                "prefix",
                "prefix",
                "share of the target's words that the prediction begins with",
                prefix,
                low=0,
                high=1,
                is_good_high=True,
            ),
            Measure(
                "degeneracy",
                "repeat",
                "share of the prediction's word sequences (of 1 to 4 words) that it has had before",
                degeneracy,
                low=0,
                high=1,
            ),
            Measure(
                "round_trip",
                "r-trip",
                "cosine of z and its own text embedded again: 1 where z is what it says, near 0 adversarial",
                round_trip,
                low=-1,
                high=1,
                is_good_high=True,
            ),
            Measure(
                "own_ce",
                "own CE",
                "the decoder's cross-entropy of z for z's own text, a token: low where z is readable",
                own_ce,
                low=0,
            ),
            Measure(
                "reread_ce",
                "re-CE",
                "cross-entropy of the target, a token, given the text of z alone, embedded again",
                reread_ce,
                low=0,
            ),
            Measure(
                "reread_match",
                "re-hit",
                "1 where the text of z alone, embedded again, makes the model say the target",
                reread_match,
                low=0,
                high=1,
                is_good_high=True,
            ),
            Measure(
                "init_distance",
                "moved",
                "Euclidean distance of z to the z that the run began with",
                init_distance,
                low=0,
            ),
        )
    }
)
"""Every measure by its name, in the order in which they are shown."""


def _as_words(run: re.Match[str]) -> str:
    unit = run[1]
    return f" {f'{unit} ' * (len(run[0]) // len(unit))}"


def _bare(word: str) -> str:
    """A word without punctuation around it; punctuation alone as it is."""
    return _OUTER_PUNCTUATION.sub("", word) or word


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
