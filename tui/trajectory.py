"""The rows of a trajectory table: steps, and the events between them where they happened."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from engine.store.records import EventRecord, StepRecord

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
        self.last_step: StepRecord | None = None
        self._places: list[_Place] = []

    def extend(
        self, steps: Sequence[StepRecord], events: Iterable[EventRecord], *, is_before: bool = False
    ) -> Sequence[int]:
        """Add steps, in order, and events.

        Args:
            steps: Steps beyond those that are there.
            events: Wherever they belong.
            is_before: The steps are older ones instead, to go in front of those that are there or into a
                gap between them.

        Returns:
            Where each new row went, in the order in which they were inserted.
        """
        inserted: list[int] = []
        if is_before:
            inserted.extend(self._insert_together(steps))
        else:
            for step in steps:
                inserted.append(self._insert((step.step, 1, 0), step))
                self.last_step = step
        inserted.extend(
            self._insert(_event_place(event), event) for event in events if event.kind not in _UNSHOWN
        )
        return inserted

    def keep_first(self, count: int, of: "Trajectory") -> None:
        """Hold the first `count` rows of another trajectory, some of whose first rows it holds already."""
        if count < len(self.rows):
            del self.rows[count:], self._places[count:]
        else:
            self._places += of._places[len(self.rows) : count]
            self.rows += of.rows[len(self.rows) : count]
        last = next(self.steps_from(count, forward=False), None)
        self.last_step = last[1] if last else None

    def index_of(self, step: int) -> int | None:
        """Where the row of a step is; None when it is not there."""
        index = bisect_left(self._places, (step, 1, 0))
        is_there = index < len(self._places) and self._places[index] == (step, 1, 0)
        return index if is_there else None

    def index_at(self, step: int) -> int:
        """Where the row of a step is, or else the next row; the last one where there is none."""
        return max(min(bisect_left(self._places, (step, 1, 0)), len(self.rows) - 1), 0)

    def step_at(self, index: int) -> int:
        """Which step a row is about; for an event the step that it stands with."""
        return self._places[index][0]

    def steps_from(self, index: int, *, forward: bool) -> Iterator[tuple[int, StepRecord]]:
        """The steps beyond a row, nearest first, each with its index."""
        for place in self._beyond(index, forward=forward):
            row = self.rows[place]
            if isinstance(row, StepRecord):
                yield place, row

    def nearest_step(self, index: int) -> StepRecord | None:
        """The step in a row; for an event the step after it, or else the one before it."""
        after = self.steps_from(index - 1, forward=True)
        before = self.steps_from(index, forward=False)
        nearest = next(after, None) or next(before, None)
        return nearest[1] if nearest else None

    def decoded_before(self, index: int) -> StepRecord | None:
        """The nearest decoded step before a row."""
        steps = self.steps_from(index, forward=False)
        return next((step for _, step in steps if step.decoded_prediction is not None), None)

    def next_change(self, index: int) -> int | None:
        """The next row in which the decoded prediction is another one than in the decoded row before."""
        text = self.decoded_before(index + 1)
        shown = text.decoded_prediction if text else None
        for place, step in self.steps_from(index, forward=True):
            if step.decoded_prediction is not None:
                if shown is not None and step.decoded_prediction != shown:
                    return place
                shown = step.decoded_prediction
        return None

    def previous_change(self, index: int) -> int | None:
        """The nearest such row before this one."""
        later: tuple[int, str] | None = None
        for place, step in self.steps_from(index, forward=False):
            if step.decoded_prediction is not None:
                if later is not None and step.decoded_prediction != later[1]:
                    return later[0]
                later = place, step.decoded_prediction
        return None

    def first_match(self) -> int | None:
        """The first row whose decoded prediction is the target."""
        return next((place for place, step in self.steps_from(-1, forward=True) if step.match), None)

    def next_event(self, index: int, *, forward: bool = True) -> int | None:
        """The nearest event beyond a row, or before it."""
        places = self._beyond(index, forward=forward)
        return next((place for place in places if isinstance(self.rows[place], EventRecord)), None)

    def _beyond(self, index: int, *, forward: bool) -> range:
        rows = len(self.rows)
        return range(index + 1, rows) if forward else range(min(index, rows) - 1, -1, -1)

    def _insert(self, place: _Place, row: Row) -> int:
        index = len(self._places)
        if self._places and place < self._places[-1]:
            index = bisect_right(self._places, place)
        self._places.insert(index, place)
        self.rows.insert(index, row)
        return index

    def _insert_together(self, steps: Sequence[StepRecord]) -> Sequence[int]:
        """Insert older steps at once: one by one each would move all that come after it."""
        if not steps:
            return ()
        places: list[_Place] = [(step.step, 1, 0) for step in steps]
        low, high = bisect_left(self._places, places[0]), bisect_right(self._places, places[-1])
        among = list(zip(self._places[low:high], self.rows[low:high], strict=True))
        inserted: list[int] = []
        done = 0
        self._places[low:high], self.rows[low:high] = places, steps
        for count, (place, row) in enumerate(among):
            index = bisect_left(places, place)
            inserted.extend(range(low + count + done, low + count + index))
            done = index
            self._places.insert(low + count + index, place)
            self.rows.insert(low + count + index, row)
        inserted.extend(range(low + len(among) + done, low + len(among) + len(steps)))
        if self.last_step is None or steps[-1].step > self.last_step.step:
            self.last_step = steps[-1]
        return inserted


def _event_place(event: EventRecord) -> _Place:
    step = -1 if event.step is None else event.step
    return step, 2 if event.kind in AFTER_THEIR_STEP else 0, event.id
