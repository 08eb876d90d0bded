"""Where the rows of several runs stand when they are laid over one another."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from enum import StrEnum

from engine.comparison.course import Course


class Alignment(StrEnum):
    """What a position along the curves is."""

    STEP = "step"
    """The step."""

    TIME = "time"
    """Seconds spent on the updates so far: `elapsed_ms` added up, without waiting and pauses."""

    MATCH = "match"
    """Steps since the first match: 0 is the first row whose decoded prediction is the target."""


AXIS_NAMES = {
    Alignment.STEP: "step",
    Alignment.TIME: "seconds of steps, pauses left out",
    Alignment.MATCH: "steps from the first match",
}


def positions(course: Course, alignment: Alignment) -> Sequence[float] | None:
    """Where each row of a run stands, in ascending order; None where the run cannot be aligned so."""
    if alignment is Alignment.STEP:
        return course.steps
    if alignment is Alignment.TIME:
        return None if course.seconds and not math.isfinite(course.seconds[-1]) else course.seconds
    first = course.first_match
    return None if first is None else [step - first for step in course.steps]


def why_not(alignment: Alignment) -> str:
    """Why a run without positions has none."""
    return "has no match" if alignment is Alignment.MATCH else "has no times recorded"


def row_at(along: Sequence[float], position: float) -> int | None:
    """Index of the row at a position, or the nearest before it; None before the first row."""
    index = bisect_right(along, position) - 1
    return index if index >= 0 else None
