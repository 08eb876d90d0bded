"""Compared runs as lines in several tones: their specs, what they said, the cosines of their vectors."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import zip_longest

from rich.cells import cell_len

from engine.comparison.choice import LETTERS
from engine.comparison.cosines import CosineRow, Cosines
from engine.comparison.differences import Field, Value
from engine.comparison.predictions import Prediction
from engine.comparison.projection import Plane
from engine.store.records import RunRecord
from tui.circle import following
from tui.numbers import MISSING, similarity_text
from tui.row_details import marked
from tui.run_names import home_text
from tui.text import fit_text, safe_text
from tui.words import changed_spans
from tui.wrapping import Line, Piece, flowed, indented, wrapped

DIFFERENT = "≠"

_LEAST_COLUMN = 36
"""Cells from which predictions stand beside one another."""

_GAP = 2
_COSINE = 7
"""Cells of one cosine."""


class Against(StrEnum):
    """What the words of a prediction are compared with; the value is what the screen says."""

    FIRST = "not said by A"
    TARGET = "not in its target"
    NOTHING = "no words"

    @property
    def following(self) -> "Against":
        """The next one of the cycle."""
        return following(Against, self)


def run_title(run: RunRecord, width: int) -> str:
    """What a run is called in at most `width` cells; the end of a long session's name gives way first."""
    home = home_text(run.session, run.number, width)
    return safe_text(f"{home}{f' {run.name}' if run.name else ''}", limit=width)


def letters_of(indexes: Iterable[int]) -> str:
    """What runs are called beside their curves: `A C`."""
    return " ".join(LETTERS[index] for index in indexes)


def value_text(value: Value) -> str:
    """A value of a field as one harmless line."""
    if value is None:
        return MISSING
    return f"{value:zg}" if isinstance(value, float) else safe_text(str(value))


def reference_name(row: CosineRow, runs: int) -> str:
    """What stands before a row of cosines: `z of A`, `init of B C`, `target of all`."""
    whose = "all" if len(row.runs) == runs else letters_of(row.runs)
    return f"{row.kind} of {whose}"


def missing_finals(matrix: Cosines) -> str:
    """Which runs have no vectors; empty where all have some."""
    without = [index for index, final in enumerate(matrix.finals) if final.step is None]
    return f"{letters_of(without)} without vectors" if without else ""


def dimension_note(matrix: Cosines) -> str:
    """Why there is no cosine between some of the runs; empty where all have the same dimension."""
    if len(matrix.dimensions) < 2:
        return ""
    sizes = "; ".join(
        f"{letters_of(runs)}: {dimension} numbers" for dimension, runs in matrix.dimensions.items()
    )
    return f"vectors of several dimensions have no cosine: {sizes}"


def explained_text(explained: tuple[float, float]) -> str:
    """How much of the variance a plane shows: `x has 61.2 % of the variance, y 20.1 %`."""
    x, y = (f"{share:.1%}".replace("%", " %") for share in explained)
    return f"x has {x} of the variance, y {y}"


def plane_text(plane: Plane) -> str:
    """How much of what there is the picture of a plane shows."""
    if plane.explained is not None:
        return explained_text(plane.explained)
    return "no vectors are stored" if plane.dimension is None else "the vectors do not vary"


def missing_paths(plane: Plane) -> list[str]:
    """Which runs a plane does not show, and why."""
    without = [i for i, path in enumerate(plane.paths) if not path.steps and i not in plane.left_out]
    notes = {"without vectors": without, "with vectors of another dimension": plane.left_out}
    return [f"{letters_of(indexes)} {why}" for why, indexes in notes.items() if indexes]


def field_lines(table: Sequence[Field], runs: int, width: int) -> list[Line]:
    """A table of fields; those in which the runs differ are bright, with a line for each value."""
    different = sum(field.differs for field in table)
    count = f"{different} of {len(table)} fields differ ({DIFFERENT})"
    lines: list[Line] = [[(safe_text(count, limit=width), "heading")]]
    name_width = min(max((cell_len(safe_text(field.name)) for field in table), default=0), width // 3)
    whose_width = max(
        (len(letters_of(group)) for f in table if f.differs for _, group in f.groups), default=0
    )
    room = max(width - name_width - whose_width - 2 - 2 * _GAP, 8)
    for field in table:
        tone = "" if field.differs else "quiet"
        for place, (value, group) in enumerate(field.groups):
            sign = DIFFERENT if field.differs and place == 0 else " "
            name = fit_text(field.name if place == 0 else "", name_width)
            whose = letters_of(group) if field.differs else ""
            lead = f"{sign} {name}{'':{_GAP}}{whose:<{whose_width}}{'':{_GAP}}"
            first, *more = wrapped([(value_text(value), tone)], room)
            lines.append([(lead, tone), *first])
            lines += indented(more, cell_len(lead))
    return lines


def prediction_lines(
    runs: Sequence[RunRecord], predictions: Sequence[Prediction], against: Against, width: int
) -> list[Line]:
    """What each run said, beside one another where there is room, with the words that differ marked."""
    columns = max(min(width // _LEAST_COLUMN, len(predictions)), 1)
    room = (width - _GAP * (columns - 1)) // columns
    blocks = [
        _prediction_block(letter, run, prediction, _other(run, predictions[0], against), room)
        for letter, run, prediction in zip(LETTERS, runs, predictions, strict=False)
    ]
    lines: list[Line] = []
    for start in range(0, len(blocks), columns):
        for beside in zip_longest(*blocks[start : start + columns], fillvalue=[]):
            line: Line = []
            for place, part in enumerate(beside):
                used = sum(cell_len(text) for text, _ in part)
                is_last = place == len(beside) - 1
                line += part if is_last else [*part, (" " * (room - used + _GAP), "")]
            lines.append(line)
        lines.append([])
    return lines[:-1]


def cosine_lines(matrix: Cosines, width: int) -> list[Line]:
    """The matrix of cosines: a column for the final z of each run, a row for each vector."""
    runs = len(matrix.finals)
    notes: list[Line] = []
    if without := missing_finals(matrix):
        notes += wrapped([(without, "quiet")], width)
    if note := dimension_note(matrix):
        notes += wrapped([(note, "bad")], width)
    if not matrix.rows:
        return notes
    name_width = max(width - runs * _COSINE, 8)
    name_width = min(name_width, max(len(reference_name(row, runs)) for row in matrix.rows))
    said: Line = [("cosines to the final z:", "heading")]
    steps: list[Line] = [
        [(f"{letter} step {final.step}", "quiet")]
        for letter, final in zip(LETTERS, matrix.finals, strict=False)
        if final.step is not None
    ]
    lines = flowed([said, *steps], width, _GAP)
    letters = "".join(letter.rjust(_COSINE) for letter in LETTERS[:runs])
    lines.append([(" " * name_width + letters, "heading")])
    for row in matrix.rows:
        name = fit_text(reference_name(row, runs), name_width)
        cells = [
            (
                _cosine_text(value),
                "quiet" if value is None or (row.kind == "z" and row.runs == (index,)) else "",
            )
            for index, value in enumerate(row.cosines)
        ]
        lines.append([(name, ""), *cells])
    return [*lines, [], *notes] if notes else lines


def _cosine_text(value: float | None) -> str:
    return similarity_text(value).rjust(_COSINE)


def _other(run: RunRecord, first: Prediction, against: Against) -> str | None:
    if against is Against.NOTHING:
        return None
    return run.target_text if against is Against.TARGET else first.text


def _prediction_block(
    letter: str, run: RunRecord, prediction: Prediction, other: str | None, width: int
) -> list[Line]:
    title = f"{letter} {run_title(run, max(width - 20, 8))}"
    if prediction.step is None:
        return [[(title, "heading")], [("  not decoded up to here", "quiet")]]
    match: Piece = (", match", "good") if prediction.match else ("", "")
    when: Line = [(title, "heading"), (f" step {prediction.step}", "quiet"), match]
    text = safe_text(prediction.text)
    spans = [] if other is None else changed_spans(safe_text(other), text)
    tone = "good" if prediction.match else ""
    return [when, *indented(wrapped(marked(text, spans, tone), max(width - 2, 1)), 2)]
