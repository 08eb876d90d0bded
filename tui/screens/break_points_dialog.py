"""The dialog for break-points: those of the run, one more, one less."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from engine.store.records import RunRecord
from tui.actions import Place, bindings
from tui.requests import Requests
from tui.screens.dialog import Dialog, DialogField, Values, Wanted
from tui.text import safe_text
from tui.widgets.badges import TONE_COLOURS

_EXAMPLES = (
    ("changed", "the decoded prediction is not the one before"),
    ("match", "the decoded prediction has become the target"),
    ("not-finite", "a number is not finite; the run pauses instead of failing"),
    ("loss<0.2", "also similarity>0.9, grad_norm, z_norm, or a loss term"),
)
_MARK = "› "
_MOST_SHOWN = 8


class BreakPointsDialog(Dialog):
    """Adds what was typed, or removes the one that is marked."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.BREAK_POINTS)
    title_words: ClassVar[str] = "break-points"
    accept_words: ClassVar[str] = "adds"

    def __init__(self, run: RunRecord, requests: Requests) -> None:
        super().__init__(run, requests, [DialogField("when", "pause when", "", "as in the examples")])
        self._marked = 0

    def compose_more(self) -> ComposeResult:
        """Lay out those that are set, and the examples."""
        yield Static(id="break-points", markup=False)
        quiet = TONE_COLOURS["quiet"]
        yield Static(
            Content("\n").join(
                Content.assemble(("  " + name.ljust(12), TONE_COLOURS["busy"]), (meaning, quiet))
                for name, meaning in _EXAMPLES
            ),
            id="examples",
        )

    def on_mount(self) -> None:
        """Show those that are set."""
        self._show_break_points()

    def prepare(self) -> None:
        """Import what checks a condition."""
        from engine import breakpoints, commands  # noqa: F401

    def check(self, values: Values) -> Wanted:
        """The condition as it is written by the engine."""
        from engine.commands import change_break_points, parse_break_point

        condition = parse_break_point(values)
        change_break_points("break", condition, self.run.break_points)
        return Wanted("break", {"when": condition}, _meaning(condition, self.run))

    def action_remove(self) -> None:
        """Ask for the marked one to be removed."""
        if self.run.break_points:
            self.dismiss(Wanted("unbreak", {"when": self.run.break_points[self._marked]}))

    def action_move_up(self) -> None:
        """Mark the one above."""
        self._mark(self._marked - 1)

    def action_move_down(self) -> None:
        """Mark the one below."""
        self._mark(self._marked + 1)

    def _mark(self, index: int) -> None:
        self._marked = min(max(index, 0), max(len(self.run.break_points) - 1, 0))
        self._show_break_points()

    def _show_break_points(self) -> None:
        keys = self.app.keymap.keys(Place.DIALOG) | self.app.keymap.keys(Place.BREAK_POINTS)
        self.query_one("#break-points", Static).update(_listed(self.run.break_points, self._marked, keys))


def _meaning(condition: str, run: RunRecord) -> str:
    """When a run will pause, in one line; a bound that it is beyond already has to be passed anew."""
    from engine.breakpoints import Bound, parse_condition

    parsed = parse_condition(condition)
    if not isinstance(parsed, Bound):
        return f"pauses after the next row with {condition}"
    number = {"loss": run.loss, "similarity": run.similarity, "z_norm": run.z_norm}.get(parsed.name)
    is_below = number is not None and number < parsed.value
    is_above = number is not None and number > parsed.value
    if is_below if parsed.sign == "<" else is_above:
        return f"pauses when {condition} comes true again: it is true now"
    return f"pauses when {condition} comes true"


def _listed(conditions: tuple[str, ...], marked: int, keys: Mapping[str, str]) -> Content:
    """The break-points of the run, the marked one in view."""
    if not conditions:
        return Content("None is set. Examples:")
    first = min(max(marked - _MOST_SHOWN + 1, 0), max(len(conditions) - _MOST_SHOWN, 0))
    help_line = "{move_up} {move_down} mark one, {remove} removes it".format_map(keys)
    lines = [Content(f"{len(conditions)} set; {help_line}")]
    for index, condition in enumerate(conditions[first : first + _MOST_SHOWN], first):
        is_marked = index == marked
        shown = (_MARK if is_marked else " " * len(_MARK)) + safe_text(condition, limit=60)
        lines.append(Content.styled(shown, "bold" if is_marked else ""))
    return Content("\n").join([*lines, Content("Examples:")])
