"""The list of runs: two painted lines each, however many there are."""

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import Place, bindings
from tui.live import RunView
from tui.numbers import MISSING, NOT_FINITE, loss_text
from tui.sparkline import sparkline
from tui.text import fit_text, safe_text
from tui.widgets.badges import STATUS_BADGES, match_sign, status_text

_LINES = 2
"""Terminal lines that a run takes."""


class RunList(ScrollView, can_focus=True):
    """Runs, newest on top; one of them is selected."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "runs--selected",
        "runs--selected-focused",
        "runs--good",
        "runs--busy",
        "runs--warning",
        "runs--bad",
        "runs--quiet",
        "runs--curve",
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.RUNS)

    class Selected(Message):
        """Another run is selected, or none."""

    class Opened(Message):
        """The user wants to go to the selected run."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.runs: tuple[RunView, ...] = ()
        self._selected: int | None = None
        self._wanted: int | None = None

    @property
    def selected(self) -> RunView | None:
        """The selected run."""
        return next((run for run in self.runs if run.record.id == self._selected), None)

    def show_runs(self, runs: tuple[RunView, ...]) -> None:
        """Replace the list; the selection stays on its run."""
        before, self.runs = self.runs, runs
        self._fit_virtual_size()
        known = {run.record.id for run in runs}
        if self._wanted in known:
            self.select_run(self._wanted)
        elif self._selected not in known:
            self._select(runs[0].record.id if runs else None)
        elif [run.record.id for run in before] != [run.record.id for run in runs]:
            self._scroll_to_selected()  # new runs above moved it down
        if len(before) != len(runs):
            self.refresh()
            return
        for index, (old, new) in enumerate(zip(before, runs, strict=True)):
            if old != new:
                self.refresh_lines(index * _LINES, _LINES)

    def select_run(self, run: int | None) -> None:
        """Select a run by its id, as soon as it is in the list."""
        self._wanted = run
        if any(view.record.id == run for view in self.runs):
            self._wanted = None
            self._select(run)

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        index, line = divmod(y + self.scroll_offset.y, _LINES)
        if index >= len(self.runs):
            return Strip.blank(width, base)
        run = self.runs[index]
        if run.record.id == self._selected:
            name = "runs--selected-focused" if self.has_focus else "runs--selected"
            base += self.get_component_rich_style(name, partial=True)
        segments = self._title(run, width) if line == 0 else self._figures(run, width)
        return Strip(segments, width).apply_style(base)

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._fit_virtual_size()
        self._scroll_to_selected()

    def on_focus(self) -> None:
        """Show where the focus is."""
        self._refresh_selected()

    def on_blur(self) -> None:
        """Show where the focus is not."""
        self._refresh_selected()

    def on_click(self, event: Click) -> None:
        """Select the run under the pointer."""
        offset = event.get_content_offset(self)
        if offset is not None:
            index = (offset.y + self.scroll_offset.y) // _LINES
            if index < len(self.runs):
                self._select(self.runs[index].record.id)

    def action_previous_run(self) -> None:
        """Select the run above."""
        self._move(-1)

    def action_next_run(self) -> None:
        """Select the run below."""
        self._move(1)

    def action_newest_run(self) -> None:
        """Select the first run of the list."""
        self._move(-len(self.runs))

    def action_oldest_run(self) -> None:
        """Select the last run of the list."""
        self._move(len(self.runs))

    def action_open_run(self) -> None:
        """Go to the table of the selected run."""
        if self.selected is not None:
            self.post_message(self.Opened())

    def _move(self, distance: int) -> None:
        if self.runs:
            index = min(max(self._index() + distance, 0), len(self.runs) - 1)
            self._select(self.runs[index].record.id)

    def _index(self) -> int:
        return next((index for index, run in enumerate(self.runs) if run.record.id == self._selected), 0)

    def _select(self, run: int | None) -> None:
        if run != self._selected:
            self._refresh_selected()
            self._selected = run
            self._wanted = None
            self._refresh_selected()
            self._scroll_to_selected()
            self.post_message(self.Selected())

    def _refresh_selected(self) -> None:
        self.refresh_lines(self._index() * _LINES, _LINES)

    def _scroll_to_selected(self) -> None:
        region = Region(0, self._index() * _LINES, self.size.width, _LINES)
        self.scroll_to_region(region, animate=False, force=True)

    def _fit_virtual_size(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.runs) * _LINES)

    def _title(self, run: RunView, width: int) -> list[Segment]:
        record = run.record
        badge = STATUS_BADGES[record.status]
        tone = self._tone(badge.tone)
        title = safe_text(f"{record.session}/{record.number}")
        status = status_text(record)
        room = width - 4 - len(status) - 1
        if room < cell_len(title):  # the sign alone tells the status too
            status, room = "", width - 4
        segments = [
            Segment(" "),
            Segment(badge.sign, tone),
            Segment(" " + fit_text(_keep_end(title, room), room)),
        ]
        if status:
            segments.append(Segment(" " + status, tone))
        return [*segments, Segment(" ")]

    def _figures(self, run: RunView, width: int) -> list[Segment]:
        record = run.record
        has_steps = record.last_step is not None
        loss = (
            NOT_FINITE
            if has_steps and record.loss is None
            else loss_text(record.loss)
            if has_steps
            else MISSING
        )
        room = max(width - 3 - len(loss) - 4, 0)
        curve = sparkline(run.curve, room)
        return [
            Segment("   "),
            Segment(curve.ljust(room), self._tone("curve")),
            Segment(" "),
            Segment(loss, self._tone("bad") if loss == NOT_FINITE else Style.null()),
            Segment(" "),
            Segment(match_sign(record.match), self._tone("good" if record.match else "quiet")),
            Segment(" "),
        ]

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"runs--{name}", partial=True)


def _keep_end(title: str, room: int) -> str:
    """Cut the session's name and not the number: the number tells runs apart."""
    if cell_len(title) <= room:
        return title
    session, _, number = title.rpartition("/")
    return safe_text(session, limit=max(room - len(number) - 1, 1)) + "/" + number
