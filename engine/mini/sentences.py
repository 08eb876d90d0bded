"""Paragraphs into sentences, and what to do about the quotation marks that a split tears apart."""

import re
from collections.abc import Iterable, Iterator, Sequence

# White space after closing punctuation (and closing quotes) and before something that can start a sentence.
_SENTENCE_END = re.compile(r"""(?<=[.!?…])(["'”’)]*)\s+(?=["'“‘(]*[A-Z0-9])""")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Mt|Dr|St|Prof|Jr|Sr|vs|etc)\.$")
_QUOTATION = re.compile(r'"([^"]*)"')


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


def close_quotations(paragraph: Sequence[str]) -> list[str] | None:
    """Give every sentence of a longer quotation its own pair of quotation marks.

    None if the paragraph's marks do not pair up.

    >>> close_quotations(['"Stop!', 'It is late," said Tim.'])
    ['"Stop!"', '"It is late," said Tim.']
    """
    closed = []
    inside = False
    for sentence in paragraph:
        opening = '"' if inside else ""
        inside ^= sentence.count('"') % 2 == 1
        closed.append(opening + sentence + ('"' if inside else ""))
    return None if inside else closed


def conversations(paragraphs: Iterable[Sequence[str]]) -> Iterator[list[list[str]]]:
    """What is said in paragraphs that follow each other: speeches, each a list of sentences without marks.

    A quotation that goes on after "he said," is left out: its halves are no sentences.

    >>> list(conversations([['"I am Tim," he said.'], ['"Hello!', 'I am Ann," said she.'], ['They ran.']]))
    [[['I am Tim.'], ['Hello!', 'I am Ann.']]]
    """
    speeches: list[list[str]] = []
    for paragraph in paragraphs:
        text = " ".join(paragraph)
        quotations = _QUOTATION.findall(text) if text.count('"') % 2 == 0 else []
        if not quotations and speeches:
            yield speeches
            speeches = []
        for quotation in quotations:
            speech = quotation.strip()
            if not speech or not (speech[0].isupper() or speech[0].isdigit()):
                if speeches:
                    speeches[-1].pop()
                    yield speeches
                speeches = []
                continue
            if speech.endswith(","):
                speech = speech[:-1] + "."
            if speech[-1] in ".!?…":
                speeches.append(split_sentences(speech))
    if speeches:
        yield speeches
