"""A run as it was recorded, to be shown again as it stood at any of its rows."""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from engine.store.records import EventRecord, RunRecord, Status, StepRecord
from tui.curves import Curves
from tui.playback import Speed
from tui.recorded_figures import RecordedFigures
from tui.row_details import weights_at
from tui.trajectory import AFTER, Trajectory

_CHUNK_STEPS = 2000


@dataclass(frozen=True)
class ReplayRequest:
    """Which run is to be replayed, from where and how fast."""

    run: int
    step: int = 0
    """The row to begin with, or the nearest before it."""
    speed: Speed = Speed.X1


class RecordedRun:
    """What is known of all rows of a run; a position is the index of a step, events not counted."""

    def __init__(
        self, run: RunRecord, trajectory: Trajectory, curves: Curves, figures: RecordedFigures
    ) -> None:
        """Arrange what was read; takes its time where there are many rows, so on a thread.

        Args:
            run: The run, as it stood when its rows were read.
            trajectory: Its rows; nothing is added to them any more, nor to what follows.
            curves: The curves of all rows.
            figures: The numbers of all rows.
        """
        self.run = run
        self.trajectory = trajectory
        self.curves = curves
        self.steps = trajectory.steps
        self._figures = figures
        self.elapsed_ms = array("d", accumulate(figures.elapsed_ms))
        """Recorded milliseconds until each row was there, waiting not counted."""

        self.changes = figures.changes()
        """Positions at which the prediction decodes to something else than before, ascending."""

        self.events = sorted(
            {
                min(
                    bisect_right(self._positions, trajectory.event_index(event), key=self.rows_at),
                    self.last_position,
                )
                for event in range(len(trajectory.events))
                if self.steps
            }
        )
        """Positions with which an event comes into sight, ascending."""

        self.first_match = figures.first_match
        """The first position whose decoded prediction is the target."""

        self._changed_from, self._changed = _as_it_was(run, trajectory.events, self.steps)

    @property
    def last_position(self) -> int:
        """The position of the last row."""
        return len(self.steps) - 1

    @property
    def _positions(self) -> range:
        return range(len(self.steps))

    def position_of(self, step: int) -> int:
        """The position of a step, or else of the nearest before it that has a row, or else the first."""
        return max(bisect_right(self.steps, step) - 1, 0)

    def rows_at(self, position: int) -> int:
        """How many rows of the trajectory, events included, are there at a position."""
        if position == self.last_position:
            return len(self.trajectory)
        count = self.trajectory.index_at(self.steps[position]) + 1
        while _follows_its_step(self.trajectory, count):
            count += 1
        return count

    def figures_at(self, position: int) -> StepRecord:
        """The numbers of the row at a position."""
        return self._figures.row(position)

    def run_at(self, position: int) -> RunRecord:
        """The run as it stood when the row at a position was its newest."""
        step = self.figures_at(position)
        if position == self.last_position and self.run.last_step == step.step:
            return self.run
        base = self._changed[bisect_right(self._changed_from, position) - 1]
        decoded = bisect_right(self._figures.decoded, position)
        prediction, match = self._figures.prediction(decoded - 1) if decoded else (None, None)
        has_matched = self.first_match is not None and self.first_match <= position
        return replace(
            base,
            last_step=step.step,
            loss=step.loss,
            similarity=step.similarity,
            lr=base.lr if step.lr is None else step.lr,
            z_norm=step.z_norm,
            match=match,
            decoded_prediction=prediction,
            first_match_step=self.run.first_match_step if has_matched else None,
        )

    def curves_at(self, position: int) -> Curves:
        """The curves as far as they went at a position."""
        first = bisect_left(self.steps, self.curves.bucket_start(self.steps[position]))
        return self.curves.up_to([self.figures_at(each) for each in range(first, position + 1)])


def read_recorded(database: Path, run_id: int) -> RecordedRun:
    """Read a run with all its rows; takes its time, so on a thread.

    Raises:
        UserError: there is no such run, or the database cannot be read.
    """
    from engine.store.reading import Reader

    trajectory, curves, figures = Trajectory(), Curves(), RecordedFigures()
    with Reader(database) as reader:
        run = reader.run(run_id)
        events = reader.events(run_id)
        after, last = -1, -1 if run.last_step is None else run.last_step
        while after < last and (steps := reader.steps(run_id, after=after, limit=_CHUNK_STEPS)):
            after = steps[-1].step
            # Rows that came while reading are not part of the run as it was read first.
            steps = steps[: bisect_right(steps, last, key=lambda step: step.step)]
            trajectory.extend(steps, ())
            curves.extend(steps)
            figures.extend(steps)
    trajectory.extend((), events)
    curves.mark(events)
    return RecordedRun(run, trajectory, curves, figures)


def read_rows(database: Path, run: int, steps: range) -> list[StepRecord]:
    """Read some rows of a run; on a thread.

    Raises:
        UserError: the database cannot be read.
    """
    from engine.store.reading import Reader

    with Reader(database) as reader:
        return reader.steps(run, after=steps.start - 1, limit=len(steps))


def next_of(positions: Sequence[int], position: int, *, forward: bool) -> int | None:
    """The nearest of some positions, ascending, beyond one of them or before it."""
    index = bisect_right(positions, position) if forward else bisect_left(positions, position) - 1
    return positions[index] if 0 <= index < len(positions) else None


def _follows_its_step(trajectory: Trajectory, index: int) -> bool:
    """Whether a row is an event that happened because of the row above it."""
    _, side, _ = trajectory.place(index)
    return side == AFTER and trajectory.step_at(index) == trajectory.step_at(index - 1)


def _as_it_was(
    run: RunRecord, events: Sequence[EventRecord], steps: Sequence[int]
) -> tuple[list[int], list[RunRecord]]:
    """The run before and after each change of what it was asked for, and the positions from which on."""
    changes = [event for event in events if _is_a_change(event)]
    shown = replace(run, status=Status.RUNNING, error=None, ended=None)
    for event in reversed(changes):
        shown = _with(shown, event, back=True)
    if any(event.kind == "weight" for event in changes):
        shown = _weighed(shown, changes, 0)
    starts, runs = [0], [shown]
    for count, event in enumerate(changes, 1):
        is_weight = event.kind == "weight"
        shown = _weighed(shown, changes, count) if is_weight else _with(shown, event, back=False)
        starts.append(bisect_left(steps, event.step or 0))
        runs.append(shown)
    return starts, runs


def _weighed(run: RunRecord, changes: Sequence[EventRecord], count: int) -> RunRecord:
    """The run with the weights that it had after so many changes."""
    from engine.spec import RunSpec, with_changes

    changed = weights_at(run, changes[:count], sys.maxsize)
    weights = {term: weight for term, weight in changed.items() if weight}
    spec = with_changes(RunSpec.model_validate_json(run.spec), weights=weights)
    return replace(run, weights=spec.weights, loss_name=spec.loss_name)


def _is_a_change(event: EventRecord) -> bool:
    return event.kind in ("weight", "extended") or _break_point(event) is not None


def _break_point(event: EventRecord) -> tuple[str, str] | None:
    """`set` or `removed`, and the condition; None where a break-point was met, or it is no such event."""
    what, colon, condition = event.detail.partition(": ")
    is_one = event.kind == "break-point" and what in ("set", "removed") and colon
    return (what, condition) if is_one else None


def _with(run: RunRecord, event: EventRecord, *, back: bool) -> RunRecord:
    """The run with a change of its steps or break-points made, or taken back."""
    if event.kind == "extended":
        old, _, new = event.detail.partition(" → ")
        steps = old if back else new
        return replace(run, steps=int(steps)) if steps.isdigit() else run
    if (changed := _break_point(event)) is not None:
        what, condition = changed
        others = tuple(each for each in run.break_points if each != condition)
        is_there = (what == "set") is not back
        return replace(run, break_points=(*others, condition) if is_there else others)
    return run
