"""Which columns the trajectory table has at a width, and how wide they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

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

TERM_KEY = "term:"
"""Begins the key of a loss term's column; its name follows."""


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
    difference: Difference = Difference.OFF,
    is_folded: bool = False,
) -> tuple[Column, ...]:
    """The columns that fit into a width, the most telling ones first to stay.

    Args:
        width: Cells for all columns and the gaps between them.
        largest_step: The step number with the most digits.
        target_cells: Width of the target; a prediction that has become it is shown whole where possible.
        terms: Names of the loss terms; one alone is the loss itself and gets no column.
        difference: What the titles say that the texts are compared with.
        is_folded: The steps are ranges, `10–46`.
    """
    digits = len(str(largest_step))
    step = Column("step", "step", max(4, 2 * digits + 1 if is_folded else digits))
    loss = Column("loss", "loss", _LOSS)
    match = Column("match", "✓", _MATCH, is_number=False)
    numbers = [step, loss, Column("similarity", "sim", _SIMILARITY)]
    room = width - sum(column.width + GAP for column in (*numbers, match))
    terms_width = len(terms) * (_TERM + GAP)
    if len(terms) > 1 and room - terms_width >= _TERMS_FROM:
        numbers[2:2] = [Column(TERM_KEY + name, name, _TERM) for name in terms]
        room -= terms_width
    if room - _LR - GAP >= _LR_FROM:
        numbers.append(Column("lr", "lr", _LR))
        room -= _LR + GAP
    if room - _NORM - GAP >= _NORM_FROM:
        numbers.append(Column("z_norm", "|z|", _NORM))
        room -= _NORM + GAP
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
