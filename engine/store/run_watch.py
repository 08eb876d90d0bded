"""The list of runs, read again and again: only what may have changed costs more than a glance."""

from collections.abc import Sequence
from typing import Any

from engine.store.reading import Reader
from engine.store.records import RunRecord, Status

_MARKS = """
    SELECT id, status, session_id, number, name, ended, parent_run FROM run
    WHERE deleted IS NULL
        AND session_id IN (SELECT id FROM session WHERE deleted IS NULL AND (? OR NOT archived))
    ORDER BY id
"""
"""Of a run that has ended nothing else changes: whatever goes on with it makes it end anew."""

_SHARED = (
    "SELECT (SELECT json_group_array(name) FROM session), (SELECT count(*) FROM break_point),"
    " (SELECT max(id) FROM break_point)"
)
"""What belongs to a run but does not stand in its row, all together, because it seldom changes."""

_ENDED = frozenset(str(status) for status in Status if status.has_ended)

Mark = tuple[Any, ...]


class RunWatch:
    """Remembers the runs that it has read; use it with one reader only."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[int, tuple[Mark, RunRecord]] = {}
        self._shared: Mark = ()

    def runs(self, *, with_archived: bool = False) -> list[RunRecord]:
        """What `Reader.runs` gives: all runs that are not deleted, oldest first.

        A run that has ended and is what it was is the same object as before.
        """
        (shared,) = self._reader.rows(_SHARED)
        marks = self._reader.rows(_MARKS, (with_archived,))
        known = self._known if shared == self._shared else {}
        new = self._read([mark for mark in marks if not _is_settled(mark, known)], len(marks))
        self._shared = shared
        self._known = {}
        for mark in marks:
            record = new.get(mark[0])
            if record is not None:
                self._known[mark[0]] = mark, record
            elif mark[0] in known:
                self._known[mark[0]] = known[mark[0]]
        return [record for _, record in self._known.values()]

    def _read(self, marks: Sequence[Mark], count: int) -> dict[int, RunRecord]:
        """The records of some of so many runs, by their ids; without those that are gone by now."""
        if not marks:
            return {}
        if 2 * len(marks) > count:
            records = self._reader.runs(with_archived=True)
        else:
            records = self._reader.runs_of([mark[0] for mark in marks])
        return {record.id: record for record in records}


def _is_settled(mark: Mark, known: dict[int, tuple[Mark, RunRecord]]) -> bool:
    """Whether a run has ended and is what it was."""
    return mark[1] in _ENDED and mark[0] in known and known[mark[0]][0] == mark
