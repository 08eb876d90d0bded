"""The corpus as token ids: made once, saved, and read by every later stage."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import UserError
from engine.mini.corpus import Source, flat, held_out_sentences, read_corpus, speeches, stable_order, told
from engine.mini.settings import Settings
from engine.mini.tokenizer import Tokenizer, train_tokenizer
from engine.mini.topic import common_words, same_topic

TINYSTORIES = "tinystories"
TEXT_FILE = "text.npz"
HELD_OUT_FILE = "held_out.json"


class Kind(IntEnum):
    """What a sequence of sentences comes from."""

    TINYSTORIES = 0
    RICHER_STORIES = 1
    SPOKEN = 2
    """What one person says at once in the stories, and single entries of several sentences."""


@dataclass(frozen=True)
class Sentences:
    """Distinct sentences as a padded table of ids without control symbols."""

    tokens: Tensor
    """(U, longest), integers, padded with 0."""
    lengths: Tensor
    """(U,)"""

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> "Sentences":
        return Sentences(self.tokens.to(device), self.lengths.to(device))

    def rows_by_length(self) -> dict[int, Tensor]:
        """For each length that occurs, the rows (n,) of that length."""
        order = torch.argsort(self.lengths, stable=True)
        lengths, counts = torch.unique_consecutive(self.lengths[order], return_counts=True)
        return dict(zip(lengths.tolist(), torch.split(order, counts.tolist()), strict=True))


@dataclass(frozen=True)
class PreparedText:
    """What the stages train on: sentences, and stories as sequences of their rows."""

    sentences: Sentences
    stories: NDArray[np.int32]
    """Rows of `sentences`, story after story."""
    story_starts: NDArray[np.int64]
    """(stories + 1,) where each story starts in `stories`."""
    kinds: NDArray[np.uint8]
    """(stories,) a `Kind` each."""
    same_topic: NDArray[np.bool_]
    """As `stories`: whether the sentence after this one is in the same story and shares a word with it."""

    def to(self, device: torch.device) -> "PreparedText":
        return replace(self, sentences=self.sentences.to(device))


@dataclass(frozen=True)
class HeldOut:
    """Text that nothing was trained on."""

    sentences: dict[str, list[str]]
    """By source; none of them is a sentence of the training text."""
    stories: list[list[str]]
    """TinyStories, each a list of sentences."""


def prepare_text(corpus: Path, directory: Path, tokenizer_path: Path, settings: Settings) -> None:
    """Read the corpus, train the tokenizer, and write the ids and the held-out texts to the directory."""
    sources = read_corpus(corpus)
    distinct = sorted({s for source in sources for s in source.training_sentences()}, key=stable_order)
    train_tokenizer(distinct, settings.sizes.pieces, tokenizer_path)
    tokenizer = Tokenizer(tokenizer_path)
    if tokenizer.pieces != settings.sizes.pieces:
        raise UserError(f"{corpus}: enough text for {tokenizer.pieces} pieces, not {settings.sizes.pieces}")
    encoded = tokenizer.encode(distinct)
    kept = [index for index, ids in enumerate(encoded) if 0 < len(ids) <= settings.longest]
    row_of = {distinct[index]: row for row, index in enumerate(kept)}
    stories, kinds = _stories_as_rows(sources, row_of)
    np.savez_compressed(
        directory / TEXT_FILE,
        tokens=np.concatenate([np.array(encoded[index], dtype=np.uint16) for index in kept]),
        lengths=np.array([len(encoded[index]) for index in kept], dtype=np.uint8),
        stories=np.array([row for story in stories for row in story], dtype=np.int32),
        story_starts=np.cumsum([0, *(len(story) for story in stories)]),
        kinds=np.array(kinds, dtype=np.uint8),
        same_topic=_same_topic(stories, [distinct[index] for index in kept]),
    )
    stories_held_out = [
        flat(story)
        for source in sources
        if source.name == TINYSTORIES
        for story in source.held_out
        if len(flat(story)) > 1
    ]
    if not stories_held_out:
        raise UserError(f"{corpus}: too little text to hold a story of {TINYSTORIES}.txt.xz out of it")
    held_out = {
        "sentences": {
            name: _only_short(sentences, tokenizer, settings.longest)
            for name, sentences in held_out_sentences(sources).items()
        },
        "stories": stories_held_out,
    }
    text = json.dumps(held_out, ensure_ascii=False, indent=1)
    (directory / HELD_OUT_FILE).write_text(text, encoding="utf-8")


def _stories_as_rows(sources: list[Source], row_of: dict[str, int]) -> tuple[list[list[int]], list[Kind]]:
    """Sequences of at least two sentences; one with a sentence that was left out is cut in two there."""
    stories: list[list[int]] = []
    kinds: list[Kind] = []
    for kind, sequence in _sequences(sources):
        piece: list[int] = []
        for sentence in [*sequence, None]:
            if sentence in row_of:
                piece.append(row_of[sentence])
                continue
            if len(piece) > 1:
                stories.append(piece)
                kinds.append(kind)
            piece = []
    return stories, kinds


def _same_topic(stories: list[list[int]], sentences: list[str]) -> NDArray[np.bool_]:
    common = common_words(sentences)
    return np.array(
        [
            following is not None and same_topic(sentences[row], sentences[following], common)
            for story in stories
            for row, following in zip_longest(story, story[1:])
        ]
    )


def _sequences(sources: list[Source]) -> Iterator[tuple[Kind, list[str]]]:
    for source in sources:
        is_tinystories = source.name.startswith(TINYSTORIES)
        kind = Kind.TINYSTORIES if is_tinystories else Kind.RICHER_STORIES
        for story in source.training:
            for sequence in told(story):
                yield kind if source.is_stories else Kind.SPOKEN, sequence
            for sequence in speeches(story):
                yield Kind.SPOKEN, sequence


def _only_short(sentences: list[str], tokenizer: Tokenizer, longest: int) -> list[str]:
    encoded = tokenizer.encode(sentences)
    return [sentence for sentence, ids in zip(sentences, encoded, strict=True) if 0 < len(ids) <= longest]


def load_text(directory: Path, settings: Settings) -> PreparedText:
    with np.load(directory / TEXT_FILE) as arrays:
        lengths = arrays["lengths"].astype(np.int64)
        tokens = np.zeros((len(lengths), settings.longest), dtype=np.int16)
        tokens[np.arange(settings.longest) < lengths[:, None]] = arrays["tokens"]
        return PreparedText(
            sentences=Sentences(torch.from_numpy(tokens), torch.from_numpy(lengths)),
            stories=arrays["stories"],
            story_starts=arrays["story_starts"],
            kinds=arrays["kinds"],
            same_topic=arrays["same_topic"],
        )


def load_held_out(directory: Path) -> HeldOut:
    return HeldOut(**json.loads((directory / HELD_OUT_FILE).read_text(encoding="utf-8")))
