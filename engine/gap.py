"""The gap of a run: whether the text of z carries the prediction, or only the vector does, row by row.

Of each decoded row three texts are laid under one another: what z says, what the model predicts from z, and
what it predicts from that text, encoded again.
"""

import json
import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from engine.store.reading import Reader
from engine.store.records import RunRecord, StepRecord
from engine.store.trajectory_reading import STEP_COLUMNS, sentence_records, step_records

PAGE_ROWS = 500
"""Rows that are read at a time."""

_PAGES_AT_A_TIME = 10

_SAID = "sentences, reread_prediction, token_losses"


@dataclass(frozen=True)
class GapRow:
    """A decoded row: the three texts, and how far they are from the target and from one another."""

    step: int
    decoded_z: str
    prediction: str
    match: bool
    ce: float | None
    """Cross-entropy of the target given z, nats a token; None: not recorded, or not finite."""

    reread_prediction: str | None
    """What is predicted from the text of z, encoded again; None: it was not asked."""

    reread_match: bool | None
    """Whether that is the target; None: it was not asked."""

    reread_ce: float | None
    """Cross-entropy of the target given the text of z, encoded again, nats a token."""

    round_trip: float | None
    """Cosine of z and its own text, encoded again."""

    @property
    def texts(self) -> tuple[str, str, str | None]:
        """What two rows have in common that are shown as one."""
        return self.decoded_z, self.prediction, self.reread_prediction


def gap_rows(
    reader: Reader,
    run: RunRecord,
    *,
    after: int = -1,
    before: int = sys.maxsize,
    limit: int = PAGE_ROWS,
    newest: bool = False,
) -> list[GapRow]:
    """At most `limit` decoded rows of a run beyond step `after` and before another, in order.

    Where there are more, they are the first of them, or with `newest` the last.
    """
    rows = reader.rows(
        f"SELECT {STEP_COLUMNS}, {_SAID} FROM step"
        " WHERE run = ? AND step > ? AND step < ? AND decoded_prediction IS NOT NULL"
        f" ORDER BY step {'DESC' if newest else ''} LIMIT ?",
        (run.id, after, before, limit),
    )
    if newest:
        rows.reverse()
    target = " ".join(run.targets).strip()
    steps = step_records([row[:-3] for row in rows])
    return [_gap_row(step, row[-3:], target) for step, row in zip(steps, rows, strict=True)]


def all_gap_rows(reader: Reader, run: RunRecord, *, after: int = -1) -> Iterator[GapRow]:
    """All decoded rows of a run beyond step `after`, read in pages."""
    while page := gap_rows(reader, run, after=after):
        yield from page
        after = page[-1].step


@dataclass(frozen=True)
class GapGroup:
    """Consecutive decoded rows with the same three texts."""

    first_step: int
    count: int
    newest: GapRow


def folded(rows: Iterable[GapRow]) -> Iterator[GapGroup]:
    """Consecutive rows with the same texts as one."""
    for _, same in groupby(rows, key=lambda row: row.texts):
        first_step, newest, count = None, None, 0
        for row in same:
            first_step = row.step if first_step is None else first_step
            newest, count = row, count + 1
        if first_step is not None and newest is not None:
            yield GapGroup(first_step, count, newest)


class GapIndex:
    """Which decoded rows of a run say the same as the one before: some bytes a group, however many rows.

    It is read from the end, where most users look first. One thread at a time may use it.
    """

    def __init__(self, run: int, *, until: int | None = None) -> None:
        """Nothing is read yet.

        Args:
            run: The run.
            until: The last step that is looked at; None: all, as they come.
        """
        self._run = run
        self._beyond = sys.maxsize if until is None else until + 1
        self._last_event = 0
        self.record: RunRecord | None = None
        """The run, as it was read last."""
        self._start_anew()

    def _start_anew(self) -> None:
        self.first_steps = array("q")
        self.last_steps = array("q")
        """The first and the last row of each group, in order."""
        self.counts = array("q")
        """How many rows it stands for."""
        self.newest: GapRow | None = None
        """The newest decoded row."""
        self._oldest: GapRow | None = None
        self._has_older = False
        """There may be rows before the oldest."""
        self.is_behind = False
        """There is more to read at once."""

    def __len__(self) -> int:
        return len(self.first_steps)

    def update(self, reader: Reader) -> int:
        """Read what is new and then what is older, a bounded part of it; all anew where rows were made again.

        Returns:
            How many groups have come before those that there were.

        Raises:
            UserError: there is no such run any more, or the database cannot be read.
        """
        record = self.record = reader.run(self._run)
        events = reader.events(self._run, after=self._last_event)
        if events:
            self._last_event = events[-1].id
            if any(event.kind == "remade" for event in events):
                self._start_anew()
        if self.newest is None:  # these are shown before the others are read
            page = gap_rows(reader, record, before=self._beyond, newest=True)
            self._append(page)
            self._has_older = self.is_behind = len(page) == PAGE_ROWS
            return 0
        pages = _PAGES_AT_A_TIME
        self.is_behind = True
        while self.is_behind and pages:
            page = gap_rows(reader, record, after=self.newest.step, before=self._beyond)
            self._append(page)
            self.is_behind, pages = len(page) == PAGE_ROWS, pages - 1
        count = len(self)
        while self._has_older and self._oldest is not None and pages:
            page = gap_rows(reader, record, before=self._oldest.step, newest=True)
            self._prepend(page)
            self._has_older, pages = len(page) == PAGE_ROWS, pages - 1
        self.is_behind = self.is_behind or self._has_older
        return len(self) - count

    def rows(self, reader: Reader, groups: range) -> list[GapRow]:
        """The newest row of each of some groups."""
        assert self.record is not None
        found = []
        wanted = list(self.last_steps[groups.start : groups.stop])
        for step in wanted:
            found += gap_rows(reader, self.record, after=step - 1, limit=1)
        return [row for row, step in zip(found, wanted, strict=False) if row.step == step]

    def _append(self, rows: Sequence[GapRow]) -> None:
        for row in rows:
            if self.newest is not None and row.texts == self.newest.texts:
                self.last_steps[-1] = row.step
                self.counts[-1] += 1
            else:
                self.first_steps.append(row.step)
                self.last_steps.append(row.step)
                self.counts.append(1)
            self.newest = row
            self._oldest = self._oldest or row

    def _prepend(self, rows: Sequence[GapRow]) -> None:
        if not rows or self._oldest is None:
            return
        groups = list(folded(rows))
        if rows[-1].texts == self._oldest.texts:  # a page has ended within a group
            *groups, same = groups
            self.first_steps[0] = same.first_step
            self.counts[0] += same.count
        self.first_steps[:0] = array("q", [group.first_step for group in groups])
        self.last_steps[:0] = array("q", [group.newest.step for group in groups])
        self.counts[:0] = array("q", [group.count for group in groups])
        self._oldest = rows[0]


def headline(run: RunRecord, newest: GapRow | None) -> str:
    """The newest state in words."""
    if newest is None:
        return (
            "no row has been decoded yet" if run.origin == "recorded" else "the publication has no such row"
        )
    where = "" if newest.round_trip is None else f" (round trip {newest.round_trip:z.2f})"
    if newest.reread_match is None:
        says = "the model says the target from z" if newest.match else "the model does not say the target yet"
        return f"{says}; what it says from the text of z was not measured{where}"
    if newest.match and newest.reread_match:
        return f"the text of z carries the prediction{where}"
    if newest.match:
        return f"the vector carries the prediction, its text does not{where}"
    if newest.reread_match:
        return f"the text of z carries the prediction, the vector does not{where}"
    return f"neither the vector nor its text makes the model say the target{where}"


def how_to_measure(run: RunRecord) -> str:
    """Why nothing was measured from the text of z, and what can be done about it; one line."""
    if run.origin != "recorded":
        return f"{run.origin}: it was never run here; `sonar-explore run` makes a run that is measured"
    return (
        "not measured: recorded without all measures;"
        f" `sonar-explore fork {run.id} --step 0 --measures all` makes it again with them"
    )


def _gap_row(step: StepRecord, said: Sequence[Any], target: str) -> GapRow:
    sentences, reread, token_losses = said
    assert step.decoded_prediction is not None
    ce = step.terms.get("ce")
    if ce is None:
        losses = [each.ce for each in sentence_records(sentences)] or json.loads(token_losses or "[]")
        known = [loss for loss in losses if loss is not None]
        ce = sum(known) / len(known) if known and len(known) == len(losses) else None
    return GapRow(
        step.step,
        step.decoded_z or "",
        step.decoded_prediction,
        bool(step.match),
        _finite(ce),
        reread,
        None if reread is None else reread.strip() == target,
        _finite(step.measures.get("reread_ce")),
        _finite(step.measures.get("round_trip")),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
