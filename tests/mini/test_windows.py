"""What the generator is trained on: windows of sentences, and which of them stay on a topic."""

import numpy as np
import torch

from engine.mini.next_sentence import Windows
from engine.mini.prepared import Kind, PreparedText, Sentences
from engine.mini.topic import common_words, same_topic

STORIES = [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
KINDS = [Kind.TINYSTORIES, Kind.SPOKEN, Kind.TINYSTORIES]
ON_TOPIC = [(0, 1), (2, 3), (6, 7)]
"""Rows whose sentences share a word with the next."""


def text(on_topic: list[tuple[int, int]]) -> PreparedText:
    rows = [row for story in STORIES for row in story]
    return PreparedText(
        sentences=Sentences(torch.zeros(9, 4, dtype=torch.int16), torch.ones(9, dtype=torch.int64)),
        stories=np.array(rows, dtype=np.int32),
        story_starts=np.cumsum([0, *map(len, STORIES)]),
        kinds=np.array(KINDS, dtype=np.uint8),
        same_topic=np.array([row in [first for first, _ in on_topic] for row in rows]),
    )


def drawn(windows: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(row) for row in windows.tolist()}


def test_windows_are_consecutive_sentences_of_one_story_with_a_next_one() -> None:
    shares = {Kind.TINYSTORIES: 0.5, Kind.SPOKEN: 0.5}
    found = Windows(text(ON_TOPIC), np.random.default_rng(0)).draw(400, 3, shares)
    assert drawn(found[:200]) == {(0, 1, 2), (1, 2, 3), (2, 3, -1), (6, 7, 8), (7, 8, -1)}
    assert drawn(found[200:]) == {(4, 5, -1)}


def test_windows_on_one_topic_start_where_the_next_sentence_shares_a_word() -> None:
    shares = {Kind.TINYSTORIES: 0.5, Kind.SPOKEN: 0.5}
    found = Windows(text(ON_TOPIC), np.random.default_rng(0)).draw_same_topic(300, 3, shares)
    assert len(found) == 300  # what no speech stays on is drawn from the stories
    assert drawn(found) == {(0, 1, 2), (2, 3, -1), (6, 7, 8)}


def test_a_text_that_never_stays_on_a_topic_gives_any_windows() -> None:
    shares = {Kind.TINYSTORIES: 1.0}
    found = Windows(text([]), np.random.default_rng(0)).draw_same_topic(300, 2, shares)
    assert drawn(found) == {(0, 1), (1, 2), (2, 3), (6, 7), (7, 8)}


def test_a_topic_is_a_word_that_is_not_among_the_common_ones() -> None:
    sentences = ["The cat ran.", "The dog ran.", "The Cat's owner came.", "the cat slept"]
    common = common_words(sentences, count=1)
    assert common == {"the"}
    assert same_topic(sentences[0], sentences[3], common)
    assert not same_topic("The sun.", "The moon.", common)
    assert not same_topic(sentences[0], "The cart ran over.", common | {"ran"})
