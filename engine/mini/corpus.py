"""The text: reading it, splitting it into sentences, and taking a held-out slice out of it.

A corpus directory holds xz-compressed UTF-8 files of stories, separated by a line `<|endoftext|>`, and files
of one sentence a line, `tatoeba*.txt.xz`.
"""

import hashlib
import lzma
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError

STORY_END = "<|endoftext|>"
HELD_OUT_PERCENT = 2

# White space after closing punctuation (and closing quotes) and before something that can start a sentence.
_SENTENCE_END = re.compile(r"""(?<=[.!?…])(["'”’)]*)\s+(?=["'“‘(]*[A-Z0-9])""")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|vs|etc)\.$")


@dataclass(frozen=True)
class Source:
    """One file of the corpus, as sentences."""

    name: str
    training: list[list[str]]
    """Stories, each a list of sentences; a file of single sentences has stories of one."""
    held_out: list[list[str]]


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
    is_sentences = name.startswith("tatoeba")
    source = Source(name, [], [])
    stories: Iterable[list[str]] = ([line] for line in lines if line) if is_sentences else _stories(lines)
    for story in stories:
        (source.held_out if _is_held_out(story) else source.training).append(story)
    return source


def _stories(lines: Iterable[str]) -> Iterator[list[str]]:
    story: list[str] = []
    for line in lines:
        if line == STORY_END:
            if story:
                yield story
            story = []
        else:
            story.extend(split_sentences(line))
    if story:
        yield story


def split_sentences(paragraph: str) -> list[str]:
    """Split at sentence ends; quotation marks stay where they are.

    >>> split_sentences('Mr. Fox ran. "Stop!" said Tim.')
    ['Mr. Fox ran.', '"Stop!" said Tim.']
    """
    sentences: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(paragraph):
        sentence = paragraph[start : match.end(1)]
        if _ABBREVIATION.search(sentence):
            continue
        sentences.append(sentence.strip())
        start = match.end()
    sentences.append(paragraph[start:].strip())
    return [sentence for sentence in sentences if sentence]


def stable_order(text: str) -> int:
    """A number that shuffles texts the same way on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _is_held_out(story: list[str]) -> bool:
    return stable_order(" ".join(story)) % 100 < HELD_OUT_PERCENT


def held_out_sentences(sources: Iterable[Source]) -> dict[str, list[str]]:
    """By source, the held-out sentences that no training text has: distinct, in a fixed, shuffled order."""
    sources = list(sources)
    training = {sentence for source in sources for story in source.training for sentence in story}
    return {
        source.name: sorted(
            {sentence for story in source.held_out for sentence in story} - training, key=stable_order
        )
        for source in sources
    }
