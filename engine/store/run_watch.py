"""The list of runs, read again and again: only what may have changed costs more than a glance."""

from collections.abc import Sequence
from typing import Any

from engine.store.reading import Reader
from engine.store.records import RunRecord, Status

_MARKS = """
    SELECT run.id, status, session.name, number, run.name, ended, parent_run
    FROM run JOIN session ON session.id = session_id
    WHERE run.deleted IS NULL AND session.deleted IS NULL AND (? OR NOT archived)
    ORDER BY run.id
"""
"""Of a run that has ended nothing else changes: whatever goes on with it makes it end anew."""

_SHARED = "SELECT count(*), max(id) FROM break_point"
"""What belongs to a run but does not stand in its row, all together, because it seldom changes."""

_ENDED = frozenset(str(status) for status in Status if status.has_ended)

Mark = tuple[Any, ...]


class RunWatch:
    """Remembers the runs that it has read; use it with one reader only."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[int, RunRecord] = {}
        self._shared: Mark = ()

    def runs(self, *, with_archived: bool = False) -> list[RunRecord]:
        """What `Reader.runs` gives: all runs that are not deleted, oldest first.

        A run that has ended and is what it was is the same object as before.
        """
        (shared,) = self._reader.rows(_SHARED)
        known = self._known if shared == self._shared else {}

        def settled_or_id(mark: Mark) -> RunRecord | int:
            record = known.get(mark[0])
            return record if record is not None and _is_settled(mark, record) else int(mark[0])

        found = self._reader.made_of_rows(_MARKS, (with_archived,), settled_or_id)
        new = self._read([each for each in found if isinstance(each, int)], len(found))
        records = [new.get(each) if isinstance(each, int) else each for each in found]
        self._shared = shared
        self._known = {record.id: record for record in records if record is not None}
        return list(self._known.values())

    def _read(self, ids: Sequence[int], count: int) -> dict[int, RunRecord]:
        """The records of some of so many runs, by their ids; without those that are gone by now."""
        if not ids:
            return {}
        is_most = 2 * len(ids) > count
        records = self._reader.runs(with_archived=True) if is_most else self._reader.runs_of(ids)
        return {record.id: record for record in records}


def _is_settled(mark: Mark, record: RunRecord) -> bool:
    """Whether a run has ended and is what it was."""
    return mark[1] in _ENDED and mark == _mark_of(record)


def _mark_of(record: RunRecord) -> Mark:
    """What `_MARKS` gives for a run that is as in the record."""
    return (
        record.id,
        record.status,
        record.session,
        record.number,
        record.name,
        record.ended,
        record.parent_run,
    )
