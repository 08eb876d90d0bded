"""What a verification found, for people: the first difference at length, two texts under one another."""

from collections.abc import Sequence

from textual.content import Content

from engine.verdict import Difference, Verdict
from tui.text import safe_text
from tui.words import Span, changed_spans

_LARGEST_SHOWN = 8
_MOST_CHARACTERS = 600
"""Of each text; the first difference is among them."""

_BEFORE = 200
_MARKED = "$primary bold underline"


def verdict_text(verdict: Verdict) -> Content:
    """The outcome in some lines."""
    return Content("\n").join([*_outcome(verdict), *map(_plain, verdict.details[:_LARGEST_SHOWN])])


def _outcome(verdict: Verdict) -> list[Content]:
    first = verdict.first
    if first is None or first.texts is None:
        return [_plain(verdict.summary)]
    place = f"differs from step {first.step}: {first.field}"
    return [_plain(f"{place}; {verdict.differing_rows} of {verdict.rows}"), *_both_texts(first, first.texts)]


def _both_texts(difference: Difference, texts: tuple[str, str]) -> list[Content]:
    start = 0
    if max(map(len, texts)) > _MOST_CHARACTERS:
        pairs = enumerate(zip(*texts, strict=False))
        differing = next((index for index, (one, other) in pairs if one != other), min(map(len, texts)))
        start = max(differing - _BEFORE, 0)
    recorded, now = (safe_text(text[start : start + _MOST_CHARACTERS]) for text in texts)
    begin = "…" if start else ""
    ends = ["…" if start + _MOST_CHARACTERS < len(text) else "" for text in texts]
    lines = [
        _quoted("recorded  ", begin, recorded, ends[0], changed_spans(now, recorded)),
        _quoted("now       ", begin, now, ends[1], changed_spans(recorded, now)),
    ]
    return [*lines, _plain(f"they look the same; {difference.unseen}")] if difference.unseen else lines


def _quoted(title: str, begin: str, text: str, end: str, spans: Sequence[Span]) -> Content:
    """A text in quotes, its words that the other one lacks marked."""
    quoted = Content(text)
    for first, last in spans:
        quoted = quoted.stylize(_MARKED, first, last)
    return Content.assemble(title, f"“{begin}", quoted, f"{end}”")


def _plain(line: str) -> Content:
    return Content(safe_text(line))
