"""Which words are new in a text, against differences written out by hand."""

import time

import pytest

from tui.words import changed_spans


def _new(before: str, after: str) -> list[str]:
    return [after[first:end] for first, end in changed_spans(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ("I eat cheese.", "I eat cheese.", []),
        ("I eat cheese.", "I like cheese.", ["like"]),
        ("I eat cheese.", "I eat a big cheese.", ["a big"]),
        ("I eat cheese every day.", "I eat cheese.", []),
        ("", "Once upon a time", ["Once upon a time"]),
        ("Once upon a time", "", []),
        ("a little girl", "A little girl", ["A"]),
        ("a girl named Lily.", "a girl named Lily!", ["!"]),
        ("Lily Lily", "Lily Lily Lily Lily", ["Lily Lily"]),
        ("she doesn't know", "she does know", ["does"]),
        ("the big dog ran home", "the dog ran to home", ["to"]),
        ("one two three four", "zero two three five", ["zero", "five"]),
        ("日本語の文章", "日本人の文章", ["人"]),
        ("[red]x[/red]", "[blue]x[/red]", ["blue"]),
        ("שלום עולם", "שלום לכם", ["לכם"]),
        ("👩‍👩‍👧 and a dog", "👩‍👩‍👧 and a cat", ["cat"]),
    ],
)
def test_new_words_are_found(before: str, after: str, new: list[str]) -> None:
    assert _new(before, after) == new


def test_spaces_alone_make_no_difference() -> None:
    assert _new("a  b c", "a b   c") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Lily " * 2000, "Lily, " * 1700),
        (" ".join(f"w{n}" for n in range(2000)), " ".join(f"w{n}" for n in range(2000, 0, -1))),
        ("a b c d e f g h " * 600, "h g f e d c b a " * 600),
    ],
)
def test_ten_thousand_characters_take_no_time_that_is_felt(before: str, after: str) -> None:
    start = time.process_time()
    spans = changed_spans(before, after)
    assert time.process_time() - start < 1.0
    assert spans
    assert all(0 <= first < end <= len(after) for first, end in spans)
