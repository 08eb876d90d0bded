"""What `compare` prints: several runs side by side, as tables of text or as one JSON object."""

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from engine.comparison.alignment import AXIS_NAMES, Alignment, positions
from engine.comparison.choice import LETTERS
from engine.comparison.comparison import Comparison, finite
from engine.comparison.cosines import Cosines, cosines
from engine.comparison.course import Course
from engine.comparison.differences import fields
from engine.comparison.predictions import Prediction
from engine.comparison.projection import Plane, evenly_chosen, project
from engine.export import json_line, short_number
from engine.store.reading import Reader
from engine.store.records import RunRecord
from tui.compared_lines import (
    DIFFERENT,
    dimension_note,
    letters_of,
    missing_finals,
    missing_paths,
    plane_text,
    reference_name,
    value_text,
)
from tui.numbers import similarity_text
from tui.overview import run_object
from tui.tables import match_line
from tui.text import safe_text
from tui.widgets.columns import FIRST_MEASURES
from tui.words import Span, changed_spans

JSON_ROWS = 200
"""Rows of each run in the JSON object; `export` writes all."""

_TABLE_ROWS = 21
_COLUMN = 11


def print_comparison(reader: Reader, runs: Sequence[int], alignment: Alignment, step: int | None) -> None:
    """Print runs side by side.

    Args:
        reader: The database.
        runs: Two to eight runs.
        alignment: What the rows of the curves have in common.
        step: Where the predictions are compared; None: at the newest decoded step.

    Raises:
        UserError: as `chosen_runs`.
    """
    comparison = Comparison(runs)
    comparison.update(reader)
    asked = comparison.newest_decoded_step if step is None else step
    sections = (
        _run_lines(comparison.runs),
        _field_lines(comparison.runs),
        *(
            _curve_lines(comparison, figure, alignment)
            for figure in ("loss", "similarity", *FIRST_MEASURES)
            if figure not in FIRST_MEASURES or figure in comparison.figures
        ),
        _prediction_lines(comparison.predictions(reader, asked), asked),
        _cosine_lines(cosines(reader, runs)),
        _plane_lines(project(reader, runs)),
    )
    for place, lines in enumerate(sections):
        if place:
            print()
        for line in lines:
            print(line.rstrip())


def print_comparison_object(
    reader: Reader, runs: Sequence[int], alignment: Alignment, step: int | None
) -> None:
    """Print the comparison as one line of JSON; see `comparison_object`."""
    print(json_line(comparison_object(reader, runs, alignment, step)))


def comparison_object(
    reader: Reader, runs: Sequence[int], alignment: Alignment, step: int | None
) -> dict[str, object]:
    """The comparison as `compare --format json` names it; everything is in the order of `runs`.

    - `runs`: as in `list --format jsonl`.
    - `align`: step, time or match.
    - `specs`: `{"field", "values", "differs"}` for each field, those that differ first.
    - `curves`: for each run `{"run", "position", "step", <figures>, <loss terms>}`, lists of one length, at
      most 200 evenly chosen rows; `position` is null where the run cannot be aligned so. `measures` is
      `{"step", <measures>}`, likewise, of rows that were measured.
    - `step` and `predictions`: for each run `{"run", "step", "decoded_prediction", "match", "changed"}`:
      what it said at the step, or at its last decoded one before; `changed` are `[start, end]` in characters
      of the words that the first run did not say there.
    - `final_z`: for each run `{"run", "step", "dimension"}` of its last stored z.
    - `cosines`: rows `{"kind", "runs", "cosines"}`: a z, init, target or context, whose it is, and its
      cosine to each run's final z; null where there is none.
    - `plane`: `{"dimension", "explained", "paths"}`: the principal plane of all stored z's, the shares of
      the variance along x and y, and for each run `{"run", "steps", "x", "y"}`.

    Raises:
        UserError: as `chosen_runs`.
    """
    comparison = Comparison(runs)
    comparison.update(reader)
    asked = comparison.newest_decoded_step if step is None else step
    matrix, plane = cosines(reader, runs), project(reader, runs)
    predictions = comparison.predictions(reader, asked)
    return {
        "type": "comparison",
        "runs": [run_object(run) for run in comparison.runs],
        "align": str(alignment),
        "specs": [
            {"field": field.name, "values": list(field.values), "differs": field.differs}
            for field in fields(comparison.runs)
        ],
        "curves": [_curve_object(course, alignment) for course in comparison.courses],
        "step": asked,
        "predictions": [_prediction_object(one, predictions[0]) for one in predictions],
        "final_z": [
            {"run": final.run, "step": final.step, "dimension": final.dimension} for final in matrix.finals
        ],
        "cosines": [
            {"kind": row.kind, "runs": [runs[index] for index in row.runs], "cosines": list(row.cosines)}
            for row in matrix.rows
        ],
        "plane": {
            "dimension": plane.dimension,
            "explained": None if plane.explained is None else list(plane.explained),
            "paths": [
                {"run": path.run, "steps": list(path.steps), "x": list(path.x), "y": list(path.y)}
                for path in plane.paths
            ],
        },
    }


def _curve_object(course: Course, alignment: Alignment) -> dict[str, object]:
    rows = evenly_chosen(range(len(course.steps)), JSON_ROWS)
    measured = evenly_chosen(range(len(course.measured_rows)), JSON_ROWS)
    along = positions(course, alignment)
    figures = {name: [finite(values[row]) for row in rows] for name, values in course.figures.items()}
    return {
        "run": course.run,
        "position": None if along is None else [along[row] for row in rows],
        "step": [course.steps[row] for row in rows],
        **figures,
        "measures": {
            "step": [course.steps[course.measured_rows[place]] for place in measured],
            **{
                name: [finite(values[place]) for place in measured]
                for name, values in course.measures.items()
            },
        },
    }


def _prediction_object(prediction: Prediction, first: Prediction) -> dict[str, object]:
    is_decoded = prediction.step is not None
    return {
        "run": prediction.run,
        "step": prediction.step,
        "decoded_prediction": prediction.text if is_decoded else None,
        "match": prediction.match,
        "changed": [list(span) for span in changed_spans(first.text, prediction.text)] if is_decoded else [],
    }


def _run_lines(runs: Sequence[RunRecord]) -> Iterator[str]:
    for letter, run in zip(LETTERS, runs, strict=False):
        name = f" {safe_text(run.name)}" if run.name else ""
        status = run.status if run.origin == "recorded" else run.origin
        figures = f"loss {short_number(run.loss) or '-'}, sim {short_number(run.similarity) or '-'}"
        home = f"{safe_text(run.session)} #{run.number}{name}"
        yield f"{letter}  run {run.id}, {home}, {status}, {figures}, {match_line(run)}"


def _field_lines(runs: Sequence[RunRecord]) -> Iterator[str]:
    table = fields(runs)
    yield f"specs: {sum(field.differs for field in table)} of {len(table)} fields differ ({DIFFERENT})"
    width = max(len(safe_text(field.name)) for field in table)
    for field in table:
        for place, (value, indexes) in enumerate(field.groups):
            name = safe_text(field.name) if place == 0 else ""
            whose = letters_of(indexes) if field.differs else ""
            sign = DIFFERENT if field.differs and place == 0 else " "
            yield f"{sign} {name:<{width}}  {whose:<{2 * len(runs) - 1}}  {value_text(value)}"


def _curve_lines(comparison: Comparison, figure: str, alignment: Alignment) -> Iterator[str]:
    yield f"{figure} by {AXIS_NAMES[alignment]}"
    letters = LETTERS[: len(comparison.runs)]
    name = {Alignment.STEP: "step", Alignment.TIME: "seconds", Alignment.MATCH: "from match"}[alignment]
    yield name.rjust(_COLUMN) + "".join(letter.rjust(_COLUMN) for letter in letters)
    for position, values in comparison.aligned(figure, alignment, _TABLE_ROWS):
        where = f"{position:.3f}" if alignment is Alignment.TIME else f"{position:.0f}"
        yield where.rjust(_COLUMN) + "".join(short_number(value).rjust(_COLUMN) for value in values)
    yield from comparison.left_out(alignment)


def _prediction_lines(predictions: Sequence[Prediction], step: int) -> Iterator[str]:
    yield f"predictions at step {step}, or the last decoded one before"
    first = predictions[0].text
    for letter, prediction in zip(LETTERS, predictions, strict=False):
        if prediction.step is None:
            yield f"{letter}  not decoded"
            continue
        match = {True: "match", False: "no match", None: "no match"}[prediction.match]
        text = safe_text(prediction.text)
        yield f"{letter}  step {prediction.step}, {match}: {text}"
        shown = safe_text(first)
        if added := _words(text, changed_spans(shown, text)):
            yield f"   not said by A: {added}"
        if missing := _words(shown, changed_spans(text, shown)):
            yield f"   only said by A: {missing}"


def _words(text: str, spans: Iterable[Span]) -> str:
    return " ".join(f'"{text[start:end]}"' for start, end in spans)


def _cosine_lines(matrix: Cosines) -> Iterator[str]:
    yield "cosines to the final z of each run"
    names = [reference_name(row, len(matrix.finals)) for row in matrix.rows]
    width = max(map(cell_len, names), default=0)
    letters = LETTERS[: len(matrix.finals)]
    yield " " * width + "".join(letter.rjust(_COLUMN - 2) for letter in letters)
    for name, row in zip(names, matrix.rows, strict=True):
        yield name.ljust(width) + "".join(_cosine_text(value).rjust(_COLUMN - 2) for value in row.cosines)
    if without := missing_finals(matrix):
        yield without
    if note := dimension_note(matrix):
        yield note


def _cosine_text(value: float | None) -> str:
    return "-" if value is None else similarity_text(value)


def _plane_lines(plane: Plane) -> Iterator[str]:
    yield "principal plane of all stored z: where each run starts and ends"
    yield plane_text(plane)
    for letter, path in zip(LETTERS, plane.paths, strict=False):
        if path.steps:
            start, end = ((path.x[at], path.y[at]) for at in (0, -1))
            places = f"({start[0]:z.4g}, {start[1]:z.4g}) to ({end[0]:z.4g}, {end[1]:z.4g})"
            yield f"{letter}  step {path.steps[0]} to {path.steps[-1]}: {places}"
    yield from missing_paths(plane)
