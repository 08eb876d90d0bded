"""The rows of a trajectory table: steps, and the events between them where they happened."""

from bisect import bisect_right
from collections.abc import Iterable

from engine.store.records import EventRecord, StepRecord
from tui.loss_curve import LossCurve

Row = StepRecord | EventRecord
_Place = tuple[int, int, int]
"""Step; before (0), in (1) or after (2) its row; id of the event."""

AFTER_THEIR_STEP = frozenset({"finished", "failed"})
"""What happened because of a row and stands after it; other events name the first step that they affect."""

_UNSHOWN = frozenset({"created"})
"""Every run has it, and it says nothing about the trajectory."""


class Trajectory:
    """Rows in the order in which they are shown; new ones are cheap to add at the end."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.curve = LossCurve()
        self.last_step: StepRecord | None = None
        self._places: list[_Place] = []

    def extend(self, steps: Iterable[StepRecord], events: Iterable[EventRecord]) -> list[int]:
        """Add steps, in order, and events.

        Returns:
            Where each new row went, in the order in which they were inserted.
        """
        inserted = []
        for step in steps:
            inserted.append(self._insert((step.step, 1, 0), step))
            self.curve.append(step.loss)
            self.last_step = step
        inserted.extend(
            self._insert(_event_place(event), event) for event in events if event.kind not in _UNSHOWN
        )
        return inserted

    def _insert(self, place: _Place, row: Row) -> int:
        index = len(self._places)
        if self._places and place < self._places[-1]:
            index = bisect_right(self._places, place)
        self._places.insert(index, place)
        self.rows.insert(index, row)
        return index


def _event_place(event: EventRecord) -> _Place:
    step = -1 if event.step is None else event.step
    return step, 2 if event.kind in AFTER_THEIR_STEP else 0, event.id
