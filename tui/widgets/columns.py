"""Which columns the trajectory table has at a width, and how wide they are."""

from dataclasses import dataclass

GAP = 2
"""Blank cells between two columns."""

_LOSS = 10
_SIMILARITY = 6
_LR = 8
_NORM = 7
_MATCH = 1
_BOTH_TEXTS = 44
"""Cells for texts from which both are shown."""

_MIN_Z = 22
"""Cells that decoded z keeps when the prediction takes what it needs."""

_LR_FROM, _NORM_FROM = 76, 90
"""Cells that the texts must keep before the learning rate and the norm of z get a column."""


@dataclass(frozen=True)
class Column:
    """One column: its key, what stands over it, its cells, and whether it is aligned to the right."""

    key: str
    title: str
    width: int
    is_number: bool = True


def choose_columns(width: int, largest_step: int, target_cells: int) -> tuple[Column, ...]:
    """The columns that fit into a width, the most telling ones first to stay.

    Args:
        width: Cells for all columns and the gaps between them.
        largest_step: The step number with the most digits.
        target_cells: Width of the target; a prediction that has become it is shown whole where possible.
    """
    step = Column("step", "step", max(4, len(str(largest_step))))
    loss = Column("loss", "loss", _LOSS)
    match = Column("match", "✓", _MATCH, is_number=False)
    numbers = [step, loss, Column("similarity", "sim", _SIMILARITY)]
    room = width - sum(column.width + GAP for column in (*numbers, match))
    if room - _LR - GAP >= _LR_FROM:
        numbers.append(Column("lr", "lr", _LR))
        room -= _LR + GAP
    if room - _NORM - GAP >= _NORM_FROM:
        numbers.append(Column("z_norm", "|z|", _NORM))
        room -= _NORM + GAP
    if room < _BOTH_TEXTS:
        return *numbers, match, Column("prediction", "prediction, decoded", max(room, 1), is_number=False)
    prediction = max((room - GAP + 1) // 2, min(target_cells, room - GAP - _MIN_Z))
    return (
        *numbers,
        match,
        Column("prediction", "prediction, decoded", prediction, is_number=False),
        Column("z", "z, decoded", room - GAP - prediction, is_number=False),
    )
