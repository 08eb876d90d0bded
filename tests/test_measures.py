"""Measures of a decoded row against formulas that are written out here."""

import math
import random
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from time import process_time

import numpy as np
import pytest

from engine.measures import MEASURES, Reading, is_degenerate
from engine.store.vectors import VectorArray

TARGET = "Once upon a time, there was a little girl named Lily."


def measured(name: str, **reading: object) -> float | None:
    return MEASURES[name].value(Reading(**{"target": TARGET, **reading}))  # type: ignore[arg-type]


def vector(*values: float) -> VectorArray:
    return np.array(values, dtype=np.float32)


def edit_distance(source: Sequence[str], goal: Sequence[str]) -> int:
    """Levenshtein's distance by Wagner and Fischer's dynamic programme."""
    distances = {(row, 0): row for row in range(len(source) + 1)}
    distances |= {(0, column): column for column in range(len(goal) + 1)}
    for row, column in product(range(1, len(source) + 1), range(1, len(goal) + 1)):
        distances[row, column] = min(
            distances[row - 1, column] + 1,
            distances[row, column - 1] + 1,
            distances[row - 1, column - 1] + (source[row - 1] != goal[column - 1]),
        )
    return distances[len(source), len(goal)]


def test_word_error_rate_is_the_edit_distance_for_each_word_of_the_target() -> None:
    chance = random.Random(5)
    for _ in range(300):
        target = chance.choices(["the", "dog", "saw", "a", "cat"], k=chance.randint(1, 9))
        prediction = chance.choices(["the", "dog", "saw", "my", "cat"], k=chance.randint(0, 9))
        value = measured("word_error_rate", target=" ".join(target), decoded_prediction="  ".join(prediction))
        assert value == pytest.approx(edit_distance(target, prediction) / len(target))


@pytest.mark.parametrize(
    ("prediction", "errors", "prefix"),
    [
        (TARGET, 0, 1),
        (f"  {TARGET}\n", 0, 1),
        ("", 1, 0),
        ("Once upon a time.", 8 / 11, 3 / 11),
        ("Once upon a time, there was a big girl named Lily.", 1 / 11, 7 / 11),
        (f"{TARGET} She", 1 / 11, 1),
        ("Lily Lily Lily Lily", 1, 0),
        ("\x00\x1b[31m \u202e Lily.", 10 / 11, 0),
    ],
)
def test_words_against_the_target(prediction: str, errors: float, prefix: float) -> None:
    assert measured("word_error_rate", decoded_prediction=prediction) == pytest.approx(errors)
    assert measured("prefix", decoded_prediction=prediction) == pytest.approx(prefix)


def test_a_target_without_words_has_no_errors_a_word() -> None:
    assert measured("word_error_rate", target=" ", decoded_prediction="a") is None
    assert measured("prefix", target="", decoded_prediction="") is None


def test_degeneracy_counts_distinct_ngrams() -> None:
    words = ["a", "girl", "named", "lily", "a", "girl", "named", "lily", "a", "girl", "named", "tom"]
    total = distinct = 0
    for length in (1, 2, 3, 4):
        ngrams = [tuple(words[start : start + length]) for start in range(len(words) - length + 1)]
        total += len(ngrams)
        distinct += len(set(ngrams))
    value = measured(
        "degeneracy", decoded_prediction="A girl named Lily, a girl named Lily; a girl named Tom!"
    )
    assert value == pytest.approx(1 - distinct / total)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", None),
        (" \n", None),
        ("Lily", 0),
        ("Lily Lily", 1 / 3),  # of two words and one pair of them
        ("Lily Lily Lily Lily", 0.6),  # 4 + 3 + 2 + 1 and one of each
        ("LilyLilyLilyLily", 0.6),
        ("\x00", 0),
    ],
)
def test_degeneracy_of_short_texts(text: str, share: float | None) -> None:
    assert measured("degeneracy", decoded_prediction=text) == (
        None if share is None else pytest.approx(share, abs=1e-12)
    )


@pytest.mark.parametrize(
    "text",
    [
        "Lily Lily Lily Lily",
        "the the the the the",
        "a girl named Lily a girl named Lily a girl named Lily",
        "LilyLilyLilyLily",
        ",,,,,,,,,,,, Lily Lily",
        "Lily, Lily! Lily? LILY... Lily",
        "\u6211\u7231\u4f60" * 4,
    ],
)
def test_a_text_that_says_the_same_again_is_degenerate(text: str) -> None:
    assert is_degenerate(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The dog saw the dog and the cat saw the cat.",
        "No, no, no!",
        "Row, row, row your boat.",
        "It was soooooo good.",
        "It costs 1000000000 dollars.",
        "He waited...",
        TARGET,
        "She had a red ball, a red hat and a red car, and she liked the red car best of all.",
    ],
)
def test_an_ordinary_sentence_is_not_degenerate(text: str) -> None:
    assert not is_degenerate(text)


def test_round_trip_is_the_cosine_of_z_and_its_text_embedded() -> None:
    assert measured("round_trip", z=vector(3, 4), round_trip=vector(30, 40)) == pytest.approx(1)
    assert measured("round_trip", z=vector(1, 0), round_trip=vector(0, 2)) == 0
    assert measured("round_trip", z=vector(1, 1), round_trip=vector(1, 0)) == pytest.approx(math.sqrt(0.5))
    assert measured("round_trip", z=vector(1e-30, 0), round_trip=vector(-1e30, 0)) == -1


@pytest.mark.parametrize("other", [vector(0, 0), vector(math.nan, 1), vector(math.inf, 1)])
def test_round_trip_of_a_vector_without_direction_is_unknown(other: VectorArray) -> None:
    assert measured("round_trip", z=vector(1, 1), round_trip=other) is None
    assert measured("round_trip", z=other, round_trip=vector(1, 1)) is None


def test_init_distance_is_euclidean() -> None:
    assert measured("init_distance", z=vector(4, 5), init=vector(1, 1)) == pytest.approx(5)
    assert measured("init_distance", z=vector(0, 0), init=vector(0, 0)) == 0
    assert measured("init_distance", z=vector(math.nan, 0), init=vector(0, 0)) is None


def test_cross_entropies_are_passed_on_as_far_as_they_are_numbers() -> None:
    for name in ("own_ce", "reread_ce"):
        assert measured(name, **{name: 0.25}) == 0.25
        assert measured(name, **{name: math.nan}) is None


def test_the_text_of_z_makes_the_model_say_the_target_or_not() -> None:
    assert measured("reread_match", reread_prediction=f" {TARGET}\n") == 1
    assert measured("reread_match", reread_prediction=TARGET.lower()) == 0


def test_what_is_not_known_is_not_measured() -> None:
    assert {name: measured(name) for name in MEASURES} == dict.fromkeys(MEASURES)


def test_every_measure_fits_a_column_and_keeps_its_bounds() -> None:
    texts = ["", TARGET, "Lily Lily Lily Lily", "\x1b[2J[bold]", "a" * 300]
    for name, measure in MEASURES.items():
        assert name == measure.name
        assert 0 < len(measure.title) <= 6
        assert "\n" not in measure.description
        for text, z in product(texts, (vector(-1, 2), vector(0, 0))):
            value = measured(
                name,
                decoded_z=text,
                decoded_prediction=text,
                reread_prediction=text,
                z=z,
                round_trip=vector(2, -4),
                init=vector(1, 1),
                own_ce=0.5,
                reread_ce=2.0,
            )
            if value is not None:
                assert value >= (-math.inf if measure.low is None else measure.low)
                assert value <= (math.inf if measure.high is None else measure.high)
    assert len({measure.title for measure in MEASURES.values()}) == len(MEASURES)


@pytest.mark.parametrize(
    "text",
    ["a" * 10_000, "Lily" * 2_500, "the dog saw it. " * 625, "a b c d " * 1_250, "ab" * 3_000 + " x" * 2_000],
)
def test_ten_thousand_characters_are_measured_at_once(text: str) -> None:
    for name in ("word_error_rate", "prefix", "degeneracy"):
        measured(name, decoded_prediction="warm")
        seconds = []
        for _ in range(5):
            begin = process_time()
            measured(name, decoded_prediction=text)
            seconds.append(process_time() - begin)
        assert min(seconds) < 0.02


def test_the_word_error_rate_of_long_texts_is_exact_and_quick() -> None:
    words = [f"word{number}" for number in range(5_000)]
    said = " ".join(word for number, word in enumerate(words) if number % 4)
    seconds = []
    for _ in range(5):
        begin = process_time()
        assert measured("word_error_rate", target=" ".join(words), decoded_prediction=said) == 0.25
        seconds.append(process_time() - begin)
    assert min(seconds) < 0.05


def test_the_names_are_read_without_numbers_or_models() -> None:
    program = "import sys, engine.measures; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "engine" in done.stdout.split()
    assert not set(done.stdout.split()) & {
        "torch",
        "numpy",
        "rapidfuzz",
        "fairseq2",
        "sonar",
        "transformers",
    }
