"""Runs that are compared, as far as they have got; what is asked of it is computed from what was read."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.comparison.alignment import Alignment, positions, row_at, why_not
from engine.comparison.choice import LETTERS, chosen_runs
from engine.comparison.course import FIGURES, Course
from engine.comparison.predictions import Prediction, last_decoded_step, prediction_at
from engine.measures import MEASURES
from engine.store.reading import Reader
from engine.store.records import RunRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CURVE_POINTS = 600
"""Rows of a curve for a chart; what is more is thinned to the lowest and highest of equal stretches."""


@dataclass(frozen=True)
class Curve:
    """One figure of one run along the common axis."""

    index: int
    """Of the run."""

    positions: tuple[float, ...]
    values: tuple[float | None, ...]
    """None where one is not there or not finite."""


class Comparison:
    """Two to eight runs and their courses. One thread at a time may use it."""

    def __init__(self, run_ids: Sequence[int]) -> None:
        self._run_ids = tuple(run_ids)
        self.runs: tuple[RunRecord, ...] = ()
        """The runs in the order in which they were named, without their heartbeats."""
        self.courses = tuple(Course(run) for run in run_ids)

    def update(self, reader: Reader) -> bool:
        """Read what is new, and say whether anything is.

        Raises:
            UserError: as `chosen_runs`.
        """
        runs = tuple(replace(run, heartbeat=None) for run in chosen_runs(reader, self._run_ids))
        is_new = runs != self.runs
        self.runs = runs
        for course in self.courses:
            is_new |= course.update(reader)
        return is_new

    @property
    def figures(self) -> tuple[str, ...]:
        """What can be drawn: figures of which some run has a value."""
        figures = (name for course in self.courses for name in course.figures)
        measures = (name for name in MEASURES if any(name in course.measures for course in self.courses))
        names = dict.fromkeys((*FIGURES[:2], *figures, *measures))
        return tuple(name for name in names if any(_has_values(course, name) for course in self.courses))

    def curves(self, figure: str, alignment: Alignment) -> list[Curve]:
        """A figure of each run that can be aligned so, in a bounded number of rows."""
        import numpy as np

        curves = []
        for index, course in enumerate(self.courses):
            along, (rows, values) = positions(course, alignment), course.curve(figure)
            if along and values:
                kept = _kept(np.array(values), CURVE_POINTS // 2)
                curves.append(
                    Curve(index, tuple(along[rows[i]] for i in kept), tuple(finite(values[i]) for i in kept))
                )
        return curves

    def left_out(self, alignment: Alignment) -> list[str]:
        """One line for each run that cannot be aligned so: which, and why."""
        return [
            f"{LETTERS[index]} {'has no rows' if not course.steps else why_not(alignment)}"
            for index, course in enumerate(self.courses)
            if not positions(course, alignment)
        ]

    def aligned(self, figure: str, alignment: Alignment, rows: int) -> list[tuple[float, list[float | None]]]:
        """A figure of all runs at evenly chosen common positions.

        Returns:
            For each position every run's value in the row there, or the nearest before it; None before its
            first row, beyond its last, and where there is none.
        """
        along = [positions(course, alignment) for course in self.courses]
        placed = [places for places in along if places]
        if not placed:
            return []
        first, last = min(places[0] for places in placed), max(places[-1] for places in placed)
        table = []
        for position in _evenly(first, last, rows, whole=alignment is not Alignment.TIME):
            values = []
            for course, places in zip(self.courses, along, strict=True):
                row = row_at(places, position) if places and position <= places[-1] else None
                rows_there, column = course.curve(figure)
                place = -1 if row is None else bisect_right(rows_there, row) - 1
                values.append(finite(column[place]) if place >= 0 else None)
            table.append((position, values))
        return table

    @property
    def newest_decoded_step(self) -> int:
        """The newest step at which one of the runs was decoded."""
        return last_decoded_step(self.courses)

    def predictions(self, reader: Reader, step: int) -> list[Prediction]:
        """What each run said at a step, or at its last decoded one before it."""
        return [prediction_at(reader, course, step) for course in self.courses]


def finite(value: float) -> float | None:
    """The value, or None where it is not finite."""
    return value if math.isfinite(value) else None


def _has_values(course: Course, figure: str) -> bool:
    return any(map(math.isfinite, course.curve(figure)[1]))


def _kept(values: "NDArray[np.float64]", stretches: int) -> list[int]:
    """Indexes of the lowest and the highest of equal stretches, of their first gap, and of both ends."""
    import numpy as np

    size = math.ceil(len(values) / stretches)
    if size < 3:
        return list(range(len(values)))
    padded = np.full(math.ceil(len(values) / size) * size, values[-1])
    padded[: len(values)] = values
    rows = padded.reshape(-1, size)
    known = np.isfinite(rows)
    starts = np.arange(len(rows)) * size
    lowest = starts + np.where(known, rows, np.inf).argmin(axis=1)
    highest = starts + np.where(known, rows, -np.inf).argmax(axis=1)
    gaps = (starts + (~known).argmax(axis=1))[~known.all(axis=1)]
    kept = np.unique(np.concatenate([[0], lowest, highest, gaps, [len(values) - 1]]))
    return [int(index) for index in kept if index < len(values)]


def _evenly(first: float, last: float, most: int, *, whole: bool) -> list[float]:
    """So many positions from the first to the last, or fewer where only whole ones are wanted."""
    spread = [first + (last - first) * index / (most - 1) for index in range(most)]
    return list(dict.fromkeys(float(round(position)) if whole else position for position in spread))
