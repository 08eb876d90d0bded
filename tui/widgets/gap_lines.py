"""The gap of a run as lines: what z says, and what the model predicts from z and from its text."""

from engine.gap import GapGroup, GapRow
from tui.numbers import MISSING, loss_text, similarity_text
from tui.text import fit_text, safe_text
from tui.text_cell import text_cell
from tui.widgets.badges import match_sign
from tui.wrapping import Line

GROUP_LINES = 4
"""Lines of each group: its steps with their figures, and three texts."""

OF_Z, FROM_Z, FROM_TEXT = "z says", "from z", "from its text"
"""What stands before the texts."""

NOT_MEASURED = "not measured"

_NAME_CELLS = 15
_MIN_TEXT = 12


def steps_text(group: GapGroup) -> str:
    """Which steps a group stands for: `step 10`, or `step 10–40 ×4`."""
    if group.count == 1:
        return f"step {group.newest.step}"
    return f"step {group.first_step}–{group.newest.step} ×{group.count}"


def figures_text(row: GapRow) -> str:
    """Round trip and both cross-entropies of a row."""
    trip = similarity_text(row.round_trip)
    return f"round trip {trip}   CE from z {_ce(row.ce)}, from its text {_ce(row.reread_ce)}"


def group_lines(group: GapGroup, target: str, width: int) -> list[Line]:
    """The lines of a group, each at most `width` cells; words that the target lacks are marked."""
    row = group.newest
    room = max(width - 2 - _NAME_CELLS, _MIN_TEXT)
    said = row.reread_prediction
    return [
        [(fit_text(f"{steps_text(group)}   {figures_text(row)}", width), "heading")],
        [(f"  {OF_Z:<{_NAME_CELLS}}", "quiet"), (safe_text(row.decoded_z, limit=room), "")],
        _prediction(FROM_Z, row.prediction, row.match, target, room),
        [(f"  {FROM_TEXT:<{_NAME_CELLS}}{NOT_MEASURED}", "quiet")]
        if said is None
        else _prediction(FROM_TEXT, said, row.reread_match, target, room),
    ]


def _prediction(name: str, text: str, match: bool | None, target: str, room: int) -> Line:
    tone = "good" if match else ""
    pieces = [(piece, marked or tone) for piece, marked in text_cell(text, target, room)]
    return [(match_sign(match) + " ", tone or "quiet"), (f"{name:<{_NAME_CELLS}}", "quiet"), *pieces]


def _ce(value: float | None) -> str:
    return MISSING if value is None else loss_text(value)
