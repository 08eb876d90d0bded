"""The rows of a trajectory table: steps, and the events between them where they happened.

A run may have hundreds of thousands of steps. Of each only the few bytes are kept that put it in its place,
fold it and find it; whole rows are kept of a bounded number, and the others are read when they are looked at.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from engine.store.records import EventRecord, StepRecord

Row = StepRecord | EventRecord
Place = tuple[int, int, int]
"""Step; BEFORE, IN or AFTER its row; id of the event, 0 for the step itself."""

AFTER_THEIR_STEP = frozenset({"finished", "failed"})
"""What happened because of a row and stands after it; other events name the first step that they affect."""

BEFORE, IN, AFTER = range(3)
"""Where a row stands in relation to the row of its step."""

HELD_ROWS = 5000
"""Most whole rows in memory, 0.8 KB each: more than any terminal shows, and some pages around it."""

_UNSHOWN = frozenset({"created"})
"""Every run has it, and it says nothing about the trajectory."""


class RowWindow:
    """Whole rows of steps: those that came or were looked at last."""

    def __init__(self, most: int = HELD_ROWS) -> None:
        self._most = most
        self._rows: OrderedDict[int, StepRecord] = OrderedDict()
        self._asked: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, step: int) -> StepRecord | None:
        """The row of a step; None when it is not held."""
        row = self._rows.get(step)
        if row is not None:
            self._rows.move_to_end(step)
        return row

    def hold(self, rows: Iterable[StepRecord]) -> None:
        """Hold these rows, and let go of those that were not looked at for the longest time."""
        for row in rows:
            self._rows[row.step] = row
            self._rows.move_to_end(row.step)
            self._asked.discard(row.step)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)

    def hold_older(self, rows: Sequence[StepRecord]) -> None:
        """Hold as many of these rows as there is room for, the last of them rather than the first."""
        room = self._most - len(self._rows)
        for row in reversed(rows[-room:] if room > 0 else ()):
            self._rows[row.step] = row
            self._rows.move_to_end(row.step, last=False)

    def ask(self, steps: Iterable[int]) -> range | None:
        """Which steps have to be read to have all of these; None: they are held, or were asked for before."""
        missing = [step for step in steps if step not in self._rows and step not in self._asked]
        self._asked.update(missing)
        return range(missing[0], missing[-1] + 1) if missing else None


class Trajectory:
    """Rows in the order in which they are shown; new ones are cheap to add at the end.

    An index counts steps and events. An event's index follows from how many steps are before it.
    """

    def __init__(self, window: RowWindow | None = None) -> None:
        self.window = RowWindow() if window is None else window
        self.newest: StepRecord | None = None
        """The row of the last step that was added."""
        self.measures: dict[str, None] = {}
        """Names of what was measured of any of the rows, as they came."""
        self.events: list[EventRecord] = []
        """Those that are shown, in their order."""
        self._event_places: list[Place] = []
        self._steps = array("q")
        self._texts = array("q")
        """A digest of what each step that was decoded decodes to, in the order of the steps."""
        self._decoded = bytearray()
        """1 for each step that was decoded, and 0 for the others; so are the next two."""
        self._matching = bytearray()
        self._finite = bytearray()
        """Whether the loss is."""

    def __len__(self) -> int:
        """How many rows there are, whole or not."""
        return len(self._steps) + len(self.events)

    @property
    def run(self) -> int | None:
        """The run whose rows these are; None while there are none."""
        if self.newest is not None:
            return self.newest.run
        return self.events[0].run if self.events else None

    @property
    def steps(self) -> Sequence[int]:
        """The steps that have a row, ascending."""
        return self._steps

    @property
    def first_step(self) -> int | None:
        """The first step that has a row."""
        return self._steps[0] if self._steps else None

    @property
    def last_step(self) -> int | None:
        """The last step that has a row."""
        return self._steps[-1] if self._steps else None

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
        inserted = [*self._insert_steps(steps)]
        for step in steps:
            if step.measures:
                self.measures.update(dict.fromkeys(step.measures))
        if is_before:
            self.window.hold_older(steps)
        else:
            self.window.hold(steps)
        if steps and (self.newest is None or steps[-1].step > self.newest.step):
            self.newest = steps[-1]
        inserted += [self._insert_event(event) for event in events if event.kind not in _UNSHOWN]
        return inserted

    def keep_first(self, count: int, of: "Trajectory") -> None:
        """Hold the first `count` rows of another trajectory, some of whose first rows it holds already."""
        self.window = of.window
        events = of._events_before(count)
        self.events, self._event_places = of.events[:events], of._event_places[:events]
        steps, there = count - events, len(self._steps)
        if steps < there:
            del self._steps[steps:], self._texts[of._texts_before(steps) :]
            del self._decoded[steps:], self._matching[steps:], self._finite[steps:]
        else:
            self._steps += of._steps[there:steps]
            self._texts += of._texts[len(self._texts) : of._texts_before(steps)]
            self._decoded += of._decoded[there:steps]
            self._matching += of._matching[there:steps]
            self._finite += of._finite[there:steps]
        self.newest = of.newest
        self.measures = of.measures

    def row(self, index: int) -> Row | None:
        """A row; None when it is a step of which the whole row is not held."""
        place, event = self._at(index)
        return self.events[place] if event else self.window.row(self._steps[place])

    def place(self, index: int) -> Place:
        """What a row is, and how it stands to others."""
        place, event = self._at(index)
        return self._event_places[place] if event else (self._steps[place], IN, 0)

    def ask(self, index: int, *, around: int = 0) -> range | None:
        """Which steps have to be read to have the row of a step, or all the rows around it.

        Returns:
            Steps for `supply`; None: they are held, or were asked for before.
        """
        position = self._steps_before(index)
        return self.window.ask(self._steps[max(position - around, 0) : position + around + 1])

    def supply(self, rows: Sequence[StepRecord]) -> None:
        """Hold rows that were read because they were asked for."""
        self.window.hold(rows)

    def index_of(self, step: int) -> int | None:
        """Where the row of a step is; None when it is not there."""
        position = bisect_left(self._steps, step)
        is_there = position < len(self._steps) and self._steps[position] == step
        return self._index(position) if is_there else None

    def index_at(self, step: int) -> int:
        """Where the row of a step is, or else the next row; the last one where there is none."""
        index = bisect_left(self._steps, step) + bisect_left(self._event_places, (step, IN, 0))
        return max(min(index, len(self) - 1), 0)

    def step_at(self, index: int) -> int:
        """Which step a row is about; for an event the step that it stands with."""
        return self.place(index)[0]

    def step_beyond(self, index: int, *, forward: bool) -> int | None:
        """Index of the nearest step after a row, or before it."""
        if forward:
            position = self._steps_before(index + 1)
            return self._index(position) if position < len(self._steps) else None
        position = self._steps_before(index) - 1
        return self._index(position) if position >= 0 else None

    def nearest_step(self, index: int) -> int | None:
        """The step in a row; for an event the step after it, or else the one before it."""
        if not self._steps:
            return None
        return self._steps[min(self._steps_before(index), len(self._steps) - 1)]

    def decoded_before(self, index: int) -> int | None:
        """Index of the nearest decoded step before a row."""
        position = self._decoded.rfind(1, 0, self._steps_before(index))
        return None if position < 0 else self._index(position)

    def next_change(self, index: int) -> int | None:
        """The next row in which the decoded prediction is another one than in the decoded row before."""
        position = self._steps_before(index + 1)
        text = self._texts_before(position)
        while (position := self._decoded.find(1, position)) >= 0:
            if text and self._texts[text] != self._texts[text - 1]:
                return self._index(position)
            position, text = position + 1, text + 1
        return None

    def previous_change(self, index: int) -> int | None:
        """The nearest such row before this one."""
        position = self._steps_before(index)
        for text in range(self._texts_before(position) - 1, 0, -1):
            position = self._decoded.rfind(1, 0, position)
            if self._texts[text] != self._texts[text - 1]:
                return self._index(position)
        return None

    def first_match(self) -> int | None:
        """The first row whose decoded prediction is the target."""
        position = self._matching.find(1)
        return None if position < 0 else self._index(position)

    def next_event(self, index: int, *, forward: bool = True) -> int | None:
        """The nearest event beyond a row, or before it."""
        event = self._events_before(index + 1) if forward else self._events_before(index) - 1
        return self.event_index(event) if 0 <= event < len(self.events) else None

    def folded_by(self, first: int) -> Iterator[tuple[bool, int]]:
        """What folding asks of the rows from an index on.

        Yields:
            Whether a row is a step with a finite loss, and a digest of what it decodes to, or 0.
        """
        position, event = self._steps_before(first), self._events_before(first)
        while event < len(self.events):
            end = self.event_index(event) - event
            yield from self._folded(position, end)
            yield False, 0
            position, event = end, event + 1
        yield from self._folded(position, len(self._steps))

    def event_index(self, event: int) -> int:
        """The index of an event, by its place among the events."""
        step, side, _ = self._event_places[event]
        return event + (bisect_right if side == AFTER else bisect_left)(self._steps, step)

    def _folded(self, first: int, end: int) -> Iterator[tuple[bool, int]]:
        text = self._texts_before(first)
        for is_finite, is_decoded in zip(self._finite[first:end], self._decoded[first:end], strict=True):
            yield bool(is_finite), self._texts[text] if is_decoded else 0
            text += is_decoded

    def _texts_before(self, position: int) -> int:
        """How many of the first so many steps were decoded."""
        if position >= len(self._steps):
            return len(self._texts)
        return self._decoded.count(1, 0, position)

    def _at(self, index: int) -> tuple[int, bool]:
        """The place of a row among the events, or among the steps; and whether it is an event."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        if not self.events:
            return index, False
        events = self._events_before(index + 1)
        if events and self.event_index(events - 1) == index:
            return events - 1, True
        return index - events, False

    def _index(self, position: int) -> int:
        """The index of a step, by its place among them."""
        return position + bisect_left(self._event_places, (self._steps[position], IN, 0))

    def _events_before(self, index: int) -> int:
        """How many of the rows before an index are events."""
        return bisect_left(range(len(self.events)), index, key=self.event_index)

    def _steps_before(self, index: int) -> int:
        """How many of the rows before an index are steps."""
        index = min(max(index, 0), len(self))
        return index - self._events_before(index)

    def _insert_steps(self, steps: Sequence[StepRecord]) -> Iterable[int]:
        if not steps:
            return ()
        numbers = array("q", [step.step for step in steps])
        low = bisect_left(self._steps, numbers[0])
        text = self._texts_before(low)
        self._steps[low:low] = numbers
        self._texts[text:text] = array(
            "q", [_digest(step.decoded_prediction) for step in steps if step.decoded_prediction is not None]
        )
        self._decoded[low:low] = bytes(step.decoded_prediction is not None for step in steps)
        self._matching[low:low] = bytes(bool(step.match) for step in steps)
        self._finite[low:low] = bytes(step.loss is not None for step in steps)
        first, last = (bisect_left(self._event_places, (step, IN, 0)) for step in (numbers[0], numbers[-1]))
        if first == last:
            return range(low + first, low + first + len(numbers))
        return [self._index(position) for position in range(low, low + len(numbers))]

    def _insert_event(self, event: EventRecord) -> int:
        place = _event_place(event)
        at = bisect_right(self._event_places, place)
        self._event_places.insert(at, place)
        self.events.insert(at, event)
        return self.event_index(at)


def _digest(text: str) -> int:
    """A number that two texts share only if they are the same, as good as certainly; never 0."""
    return hash(text) or 1


def _event_place(event: EventRecord) -> Place:
    step = -1 if event.step is None else event.step
    return step, AFTER if event.kind in AFTER_THEIR_STEP else BEFORE, event.id
