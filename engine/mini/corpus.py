"""The text: reading it and taking a held-out slice out of it.

A corpus directory holds xz-compressed UTF-8 files of stories, separated by a line `<|endoftext|>`, and files
of one entry a line, mostly one sentence, `tatoeba*.txt.xz`.
"""

import hashlib
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.mini.sentences import close_quotations, conversations, split_sentences

STORY_END = "<|endoftext|>"
SINGLE_ENTRIES = "tatoeba"
"""Names of files of one entry a line begin with this."""

HELD_OUT_PERCENT = 2


Story = list[list[str]]
"""Paragraphs, each a list of sentences."""


@dataclass(frozen=True)
class Source:
    """One file of the corpus: stories, split into sentences wherever one ends."""

    name: str
    training: list[Story]
    """A file of single entries has stories of one paragraph."""
    held_out: list[Story]

    @property
    def is_stories(self) -> bool:
        return not self.name.startswith(SINGLE_ENTRIES)

    def training_sentences(self) -> Iterator[str]:
        """Every sentence that may be trained on: as it is split, as it is told, as it is spoken."""
        for story in self.training:
            yield from self.units(story)
            for sequence in (*told(story), *spoken(story)):
                yield from sequence

    def units(self, story: Story) -> Iterator[str]:
        """What is encoded as one text: sentences, or whole entries."""
        return (" ".join(paragraph) for paragraph in story) if not self.is_stories else iter(flat(story))


def flat(story: Story) -> list[str]:
    return [sentence for paragraph in story for sentence in paragraph]


def told(story: Story) -> Iterator[list[str]]:
    """Consecutive sentences of a story with their quotations closed, cut in two where that fails.

    A next sentence is to stand by itself: one with half a pair of quotation marks does not.
    """
    sequence: list[str] = []
    for paragraph in story:
        closed = close_quotations(paragraph)
        if closed is None:
            if len(sequence) > 1:
                yield sequence
            sequence = []
        else:
            sequence.extend(closed)
    if len(sequence) > 1:
        yield sequence


def spoken(story: Story) -> Iterator[list[str]]:
    """What is said in a story, without quotation marks: conversations of at least two sentences.

    People say there what somebody at the screen types: "I like cheese.", "It is raining.".
    """
    for conversation in conversations(story):
        if len(sentences := flat(conversation)) > 1:
            yield sentences


def speeches(story: Story) -> Iterator[list[str]]:
    """What one person says at once, where that is more than one sentence.

    Its next sentence goes on about the same thing, which another person's answer often does not.
    """
    return (speech for conversation in conversations(story) for speech in conversation if len(speech) > 1)


def read_corpus(directory: Path) -> list[Source]:
    """Read every `*.txt.xz` file, in the order of their names.

    Raises:
        UserError: there is none, or one cannot be read.
    """
    paths = sorted(directory.glob("*.txt.xz"))
    if not paths:
        raise UserError(f"{directory}: no *.txt.xz file: expected the training text")
    return [_read_source(path) for path in paths]


def _read_source(path: Path) -> Source:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not xz-compressed UTF-8 text: {error}") from error
    name = path.name.removesuffix(".txt.xz")
    source = Source(name, [], [])
    for story in _stories(lines) if source.is_stories else _entries(lines):
        (source.held_out if _is_held_out(story) else source.training).append(story)
    return source


def _entries(lines: Iterable[str]) -> Iterator[Story]:
    return ([split_sentences(line)] for line in lines if line)


def _stories(lines: Iterable[str]) -> Iterator[Story]:
    story: Story = []
    for line in lines:
        if line == STORY_END:
            if story:
                yield story
            story = []
        elif line:
            story.append(split_sentences(line))
    if story:
        yield story


def stable_order(text: str) -> int:
    """A number that shuffles texts the same way on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _is_held_out(story: Story) -> bool:
    return stable_order(" ".join(flat(story))) % 100 < HELD_OUT_PERCENT


def held_out_sentences(sources: Iterable[Source]) -> dict[str, list[str]]:
    """By source, the held-out sentences that no training text has: distinct, in a fixed, shuffled order."""
    sources = list(sources)
    training = {sentence for source in sources for sentence in source.training_sentences()}
    return {
        source.name: sorted(
            {sentence for story in source.held_out for sentence in source.units(story)} - training,
            key=stable_order,
        )
        for source in sources
    }
