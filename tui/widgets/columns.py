"""Which columns the trajectory table has at a width, and how wide they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from engine.measures import MEASURES
from tui.circle import following

GAP = 2
"""Blank cells between two columns."""

_LOSS = 10
_TERM = 8
_SIMILARITY = 6
_LR = 8
_NORM = 7
_MATCH = 1
_BOTH_TEXTS = 44
"""Cells for texts from which both are shown."""

_MIN_Z = 22
"""Cells that decoded z keeps when the prediction takes what it needs."""

_TERMS_FROM, _LR_FROM, _NORM_FROM = 66, 76, 90
"""Cells that the texts must keep before the terms, the learning rate and the norm of z get columns."""

_MEASURE = 6
_MEASURES_FROM = 66
"""Cells that the texts must keep before one of FIRST_MEASURES gets a column."""

_OTHER_MEASURES_FROM = 90
"""The same for the other measures."""

_CHOSEN_FROM = 24
"""The same where the user has chosen to see such numbers."""

FIRST_MEASURES = ("round_trip", "reread_ce", "word_error_rate")
"""Measures that are shown before others."""

TERM_KEY, MEASURE_KEY = "term:", "measure:"
"""Begins the key of a loss term's column, or a measure's; its name follows."""


class Numbers(Enum):
    """Which numbers the table shows beside step and loss."""

    STANDARD = "the usual numbers"
    MEASURES = "what is measured of decoded rows"
    TERMS = "the loss terms"

    @staticmethod
    def there(terms: int, measures: Collection[str]) -> list["Numbers"]:
        """Those that a run has; its only term is the loss itself."""
        is_there = {Numbers.MEASURES: bool(measures), Numbers.TERMS: terms > 1}
        return [numbers for numbers in Numbers if is_there.get(numbers, True)]

    def after(self, terms: int, measures: Collection[str]) -> "Numbers":
        """The next one of the cycle, in which a run of so many terms has only what there is of it."""
        return following(Numbers.there(terms, measures), self)


class Difference(Enum):
    """What the words of the texts are compared with; the value follows the name of a column."""

    PREVIOUS = " ≠ previous"
    TARGET = " ≠ target"
    OFF = ", decoded"

    @property
    def following(self) -> "Difference":
        """The next one of the cycle."""
        return following(Difference, self)


@dataclass(frozen=True)
class Column:
    """One column: its key, what stands over it, its cells, and whether it is aligned to the right."""

    key: str
    title: str
    width: int
    is_number: bool = True


def choose_columns(
    width: int,
    largest_step: int,
    target_cells: int,
    *,
    terms: Sequence[str] = (),
    measures: Collection[str] = (),
    shows: Numbers = Numbers.STANDARD,
    difference: Difference = Difference.OFF,
    is_folded: bool = False,
) -> tuple[Column, ...]:
    """The columns that fit into a width, the most telling ones first to stay.

    Args:
        width: Cells for all columns and the gaps between them.
        largest_step: The step number with the most digits.
        target_cells: Width of the target; a prediction that has become it is shown whole where possible.
        terms: Names of the loss terms; one alone is the loss itself and gets no column.
        measures: Names of what is measured of the run's rows.
        shows: Which numbers the user has chosen to see.
        difference: What the titles say that the texts are compared with.
        is_folded: The steps are ranges, `10–46`.
    """
    digits = len(str(largest_step))
    step = Column("step", "step", max(4, 2 * digits + 1 if is_folded else digits))
    loss = Column("loss", "loss", _LOSS)
    match = Column("match", "✓", _MATCH, is_number=False)
    numbers = [step, loss]
    room = width - sum(column.width + GAP for column in (*numbers, match))
    first, others = _in_order(measures)
    if shows is Numbers.STANDARD:
        numbers.append(Column("similarity", "sim", _SIMILARITY))
        room -= _SIMILARITY + GAP
        terms_width = len(terms) * (_TERM + GAP)
        if len(terms) > 1 and room - terms_width >= _TERMS_FROM:
            numbers[2:2] = _term_columns(terms)
            room -= terms_width
        wanted = [
            *((column, _MEASURES_FROM) for column in first),
            (Column("lr", "lr", _LR), _LR_FROM),
            (Column("z_norm", "|z|", _NORM), _NORM_FROM),
            *((column, _OTHER_MEASURES_FROM) for column in others),
        ]
    else:
        chosen = [*first, *others] if shows is Numbers.MEASURES else _term_columns(terms)
        wanted = [(column, _CHOSEN_FROM) for column in chosen]
    for column, kept in wanted:
        if room - column.width - GAP >= kept:
            numbers.append(column)
            room -= column.width + GAP
    of_prediction, of_z = "prediction" + difference.value, "z" + difference.value
    if room < _BOTH_TEXTS:
        return *numbers, match, Column("prediction", of_prediction, max(room, 1), is_number=False)
    prediction = max((room - GAP + 1) // 2, min(target_cells, room - GAP - _MIN_Z))
    return (
        *numbers,
        match,
        Column("prediction", of_prediction, prediction, is_number=False),
        Column("z", of_z, room - GAP - prediction, is_number=False),
    )


def term_title(name: str) -> str:
    """What a column or a chart of a loss term is called."""
    from engine.objective import TERMS  # where a run has several: not needed for the first paint

    return TERMS[name].title if name in TERMS else name


def _term_columns(names: Sequence[str]) -> list[Column]:
    return [Column(TERM_KEY + name, term_title(name), _TERM) for name in names]


def _in_order(names: Collection[str]) -> tuple[list[Column], list[Column]]:
    """Columns of the measures that are shown before others, and of the others."""
    columns = {
        name: Column(MEASURE_KEY + name, measure.title, _MEASURE)
        for name, measure in MEASURES.items()
        if name in names
    }
    first = [columns.pop(name) for name in FIRST_MEASURES if name in columns]
    return first, list(columns.values())
