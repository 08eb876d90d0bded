"""The left pane: a title, the list of runs, and the line in which a filter is typed."""

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip
from textual.widget import Widget

from tui.run_filter import RunFilter, SortBy, parse_filter
from tui.text import safe_text
from tui.widgets.run_list import RunList

if TYPE_CHECKING:
    from textual.widgets import Input

    from tui.widgets.filter_line import FilterLine


class PaneTitle(Widget):
    """How many runs are shown, and in which order; or what is wrong with the filter."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def show(self, text: str, *, is_wrong: bool) -> None:
        """Say something else; the same again costs nothing."""
        if text != self._text:
            self._text = text
            self.set_class(is_wrong, "-wrong")
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint the line."""
        width = self.content_size.width
        segment = Segment(safe_text(self._text, limit=width))
        return Strip([segment]).adjust_cell_length(width).apply_style(self.rich_style)


class RunPane(Vertical):
    """Holds the list and narrows it down to what the filter says, as it is typed."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._before_filter: int | None = None

    def compose(self) -> ComposeResult:
        """Lay out the title and the list; the filter's line comes when it is first wanted."""
        yield PaneTitle()
        yield RunList(id="runs")

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        return self._list.run_filter.text

    async def open_filter(self) -> None:
        """Let the user type a filter."""
        if not self.filter_text:
            self._before_filter = selected.record.id if (selected := self._list.selected) else None
        self.display = True
        await self._show_line(self.filter_text)
        self._line.focus()

    async def set_filter(self, text: str) -> None:
        """Filter by a text from elsewhere, for example as it was the last time."""
        self._list.rearrange(run_filter=parse_filter(text))
        if text:
            await self._show_line(text)

    async def _show_line(self, text: str) -> None:
        from tui.widgets.filter_line import FilterLine  # its imports must not hold up the first paint

        if not self.query("#filter"):
            await self.mount(FilterLine(text))
        self._line.value = text

    @on(RunList.Arranged)
    def _show_title(self) -> None:
        wrong = self._list.run_filter.wrong
        self.query_one(PaneTitle).show(wrong or _title(self._list), is_wrong=wrong is not None)

    async def on_run_list_filter_cleared(self) -> None:
        """Show all runs again, and the one that was selected before they were filtered."""
        await self.query("#filter").remove()
        self._list.rearrange(run_filter=RunFilter())
        if self._before_filter is not None:
            self._list.select_run(self._before_filter)
            self._before_filter = None
        self._list.focus()

    async def on_filter_line_cleared(self) -> None:
        """The same from within the line."""
        await self.on_run_list_filter_cleared()

    async def on_filter_line_kept(self) -> None:
        """Go back to the list; a filter stays in sight as long as it is in force."""
        self._list.focus()
        if not self.filter_text:
            await self._line.remove()

    def on_input_changed(self, event: "Input.Changed") -> None:
        """Show the runs that pass."""
        event.stop()
        if event.value != self.filter_text:
            self._list.rearrange(run_filter=parse_filter(event.value))

    @property
    def _line(self) -> "FilterLine":
        from tui.widgets.filter_line import FilterLine

        return self.query_one("#filter", FilterLine)

    @property
    def _list(self) -> RunList:
        return self.query_one(RunList)


def _title(runs: RunList) -> str:
    count = len(runs.runs)
    noun = "run" if count == 1 else "runs"
    number = f"{runs.shown} of {count}" if runs.run_filter.text else str(count)
    order = f", {runs.sort}" if count > 1 or runs.sort is not SortBy.NEWEST else ""
    marked = f"{len(runs.marks.runs)} marked, " if runs.marks.runs else ""
    return f"{marked}{number} {noun}{order}" if count else ""
