"""What several runs said at the same step."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from engine.comparison.course import Course
from engine.store.reading import Reader


@dataclass(frozen=True)
class Prediction:
    """The decoded prediction of a run at a step, or at the last decoded one before it."""

    run: int
    step: int | None
    """Where it was decoded; None where nothing was, up to the step that was asked for."""

    text: str
    match: bool | None


def prediction_at(reader: Reader, course: Course, step: int) -> Prediction:
    """The prediction of a run at a step, or at the last decoded one before it."""
    index = bisect_right(course.decoded_steps, step) - 1
    if index >= 0:
        decoded = course.decoded_steps[index]
        for row in reader.steps(course.run, after=decoded - 1, limit=1):
            if row.step == decoded and row.decoded_prediction is not None:
                return Prediction(course.run, decoded, row.decoded_prediction, row.match)
    return Prediction(course.run, None, "", None)


def last_decoded_step(courses: Iterable[Course]) -> int:
    """The newest step at which one of the runs was decoded; 0 where none was."""
    return max((course.decoded_steps[-1] for course in courses if course.decoded_steps), default=0)


def next_decoded_step(courses: Iterable[Course], step: int) -> int | None:
    """The first step beyond this one at which one of the runs was decoded."""
    places = [(course, bisect_right(course.decoded_steps, step)) for course in courses]
    return min(
        (course.decoded_steps[index] for course, index in places if index < len(course.decoded_steps)),
        default=None,
    )


def previous_decoded_step(courses: Iterable[Course], step: int) -> int | None:
    """The last step before this one at which one of the runs was decoded."""
    places = [(course, bisect_left(course.decoded_steps, step)) for course in courses]
    return max((course.decoded_steps[index - 1] for course, index in places if index), default=None)
