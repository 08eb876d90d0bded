"""The runs as a tree of painted lines: only those in view are drawn, however many there are."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar

from rich.style import Style
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import Place, bindings
from tui.marks import Marks
from tui.news import RunView
from tui.run_filter import RunFilter, SortBy
from tui.run_tree import RunLine, SessionLine, TreeLine, tree_lines
from tui.widgets.run_cells import RunCells

_RUN_HEIGHT, _SESSION_HEIGHT = 2, 1
"""Terminal lines that a run and the head of a session take."""


class RunList(ScrollView, can_focus=True):
    """Sessions with their runs; the cursor is on a line, and the run that it was last on is selected."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "runs--selected",
        "runs--selected-focused",
        "runs--session",
        "runs--good",
        "runs--busy",
        "runs--warning",
        "runs--bad",
        "runs--quiet",
        "runs--curve",
        "runs--mark",
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.RUNS)

    class Selected(Message):
        """Another run is selected, or none."""

    class Opened(Message):
        """The user wants to go to the selected run."""

    class Arranged(Message):
        """Other runs are shown, or in another order."""

    class FilterCleared(Message):
        """The user wants to see all runs again."""

    class DeletionAsked(Message):
        """The user wants to be rid of what the cursor is on: a run, or a session."""

        def __init__(self, *, run: int | None = None, session: str | None = None) -> None:
            super().__init__()
            self.run = run
            self.session = session

    class RestoreAsked(Message):
        """The user wants back what was deleted last."""

    class NameAsked(Message):
        """The user wants to call the selected run something else, or have it in another session."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.runs: tuple[RunView, ...] = ()
        """All runs, those that are not shown too."""

        self.run_filter = RunFilter()
        """Which of them are shown."""

        self.sort = SortBy.NEWEST
        """The order of those that are shown."""

        self.closed: frozenset[str] = frozenset()
        """Names of the sessions whose runs are folded away."""

        self.marks = Marks()
        """Runs to do something with, in sight or not."""

        self._views: dict[int, RunView] = {}
        self._lines: list[TreeLine] = []
        self._tops: list[int] = [0]
        """The first terminal line of each line, and the end of the last."""
        self._places: dict[int, int] = {}
        """Index of each shown run's line."""
        self._cursor = 0
        self._selected: int | None = None
        self._wanted: int | None = None
        self._wanted_session: str | None = None

    @property
    def selected(self) -> RunView | None:
        """The selected run."""
        return None if self._selected is None else self._views.get(self._selected)

    @property
    def shown(self) -> int:
        """How many runs pass the filter, those of closed sessions included."""
        return sum(line.runs if isinstance(line, SessionLine) else self._is_ranking for line in self._lines)

    def show_runs(self, runs: tuple[RunView, ...]) -> None:
        """Replace the list; the selection stays on its run."""
        before, self.runs = self.runs, runs
        place = None if self._selected is None else self._places.get(self._selected)
        changed = _changed(before, runs)
        if changed is None or self._is_ranking or self.run_filter.text:
            self._views = {view.record.id: view for view in runs}
            self._arrange()
        else:  # every run stands where it stood
            self._show_changed(changed)
        self.marks.keep(self._views)
        if self._wanted in self._views:
            self.select_run(self._wanted)
        elif self._selected not in self._views:
            self._select_beside(place)
        self._go_to_wanted_session()

    def show_session(self, name: str) -> None:
        """Select the newest run of a session, as soon as it is in the list."""
        self._wanted_session = name
        self._go_to_wanted_session()

    def rearrange(
        self,
        *,
        run_filter: RunFilter | None = None,
        sort: SortBy | None = None,
        closed: frozenset[str] | None = None,
    ) -> None:
        """Show other runs, or in another order; what is not given stays as it is."""
        self.run_filter = self.run_filter if run_filter is None else run_filter
        self.sort = self.sort if sort is None else sort
        self.closed = self.closed if closed is None else closed
        self._arrange()
        if self._selected not in self._places and run_filter is not None:
            self._select_first()
        self._scroll_to_cursor()

    def select_run(self, run: int | None) -> None:
        """Select a run by its id, as soon as it is in the list; its session is opened for it."""
        self._wanted = run
        view = None if run is None else self._views.get(run)
        if view is None:
            return
        self._wanted = None
        if view.record.session in self.closed:
            self.rearrange(closed=self.closed - {view.record.session})
        self._select(view.record.id)

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        line = y + self.scroll_offset.y
        index = bisect_right(self._tops, line) - 1
        if index >= len(self._lines):
            return Strip.blank(width, base)
        item = self._lines[index]
        if index == self._cursor:
            name = "runs--selected-focused" if self.has_focus else "runs--selected"
            base += self.get_component_rich_style(name, partial=True)
        if isinstance(item, SessionLine):
            segments = self._cells.session(item, width)
        elif line == self._tops[index]:
            segments = self._cells.title(item, width)
        else:
            segments = self._cells.figures(item, width)
        return Strip(segments).adjust_cell_length(width).apply_style(base)

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._fit_virtual_size()
        self._scroll_to_cursor()

    def on_focus(self) -> None:
        """Show where the focus is."""
        self._refresh_line(self._cursor)

    def on_blur(self) -> None:
        """Show where the focus is not."""
        self._refresh_line(self._cursor)

    def on_click(self, event: Click) -> None:
        """Go to the line under the pointer; the head of a session opens or closes."""
        offset = event.get_content_offset(self)
        if offset is not None:
            index = bisect_right(self._tops, offset.y + self.scroll_offset.y) - 1
            if index < len(self._lines):
                self._move_to(index)
                if isinstance(self._lines[index], SessionLine):
                    self.action_open_run()

    def action_previous_run(self) -> None:
        """Go to the line above."""
        self._move_to(self._cursor - 1)

    def action_next_run(self) -> None:
        """Go to the line below."""
        self._move_to(self._cursor + 1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self._move_to(bisect_right(self._tops, max(self._tops[self._cursor] - self.size.height, 0)) - 1)

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self._move_to(bisect_right(self._tops, self._tops[self._cursor] + self.size.height) - 1)

    def action_newest_run(self) -> None:
        """Go to the first run of the list."""
        self._move_to(next((i for i, line in enumerate(self._lines) if isinstance(line, RunLine)), 0))

    def action_oldest_run(self) -> None:
        """Go to the last line."""
        self._move_to(len(self._lines))

    def action_open_run(self) -> None:
        """Go to the table of the run; open or close the session that the cursor is on."""
        line = self._line
        if isinstance(line, SessionLine):
            self._set_open(line.name, not line.is_open)
        elif line is not None:
            self.post_message(self.Opened())

    def action_expand(self) -> None:
        """Open the session that the cursor is on, or go into what is open."""
        line = self._line
        if isinstance(line, SessionLine) and line.is_open:
            self._move_to(self._cursor + 1)
        else:
            self.action_open_run()

    def action_collapse(self) -> None:
        """Close the session that the cursor is on; from a run, go to its parent or its session."""
        line = self._line
        if isinstance(line, SessionLine):
            self._set_open(line.name, False)
        elif isinstance(line, RunLine) and not self._is_ranking:
            parent = self._places.get(line.run.record.parent_run or 0) if line.guides else None
            self._move_to(self._head_above() if parent is None else parent)

    def action_mark(self) -> None:
        """Mark the run that the cursor is on, or take its mark away."""
        line = self._line
        if not isinstance(line, RunLine):
            self.notify("Only a run can be marked", markup=False)
        elif self.marks.toggle(line.run.record.id):
            self.refresh()  # the letters of other marks may have moved up
            self.post_message(self.Arranged())
        else:
            self.notify(f"{len(self.marks.runs)} runs are marked; more cannot be", markup=False)

    def action_delete(self) -> None:
        """Delete what the cursor is on: a run, or a session with its runs."""
        line = self._line
        if isinstance(line, SessionLine):
            self.post_message(self.DeletionAsked(session=line.name))
        elif line is not None:
            self.post_message(self.DeletionAsked(run=line.run.record.id))

    def action_undo(self) -> None:
        """Bring back what was deleted last."""
        self.post_message(self.RestoreAsked())

    def action_rename(self) -> None:
        """Give the selected run another name or session."""
        self.post_message(self.NameAsked())

    def action_clear_filter(self) -> None:
        """Show all runs again."""
        if self.run_filter.text:
            self.post_message(self.FilterCleared())

    @property
    def _is_ranking(self) -> bool:
        return self.sort is not SortBy.NEWEST

    @property
    def _line(self) -> TreeLine | None:
        return self._lines[self._cursor] if self._cursor < len(self._lines) else None

    def _head_above(self) -> int:
        above = range(self._cursor, -1, -1)
        return next((index for index in above if isinstance(self._lines[index], SessionLine)), 0)

    def _set_open(self, session: str, is_open: bool) -> None:
        if is_open == (session in self.closed):
            self.rearrange(closed=self.closed - {session} if is_open else self.closed | {session})

    def _arrange(self) -> None:
        """Make the lines anew; the cursor stays on what it was on, or where that is folded away to."""
        before, under_cursor = self._lines, self._line
        offset = self._tops[min(self._cursor, len(before))] - self.scroll_offset.y
        lines = tree_lines(self.runs, self.closed, run_filter=self.run_filter, sort=self.sort)
        heights = (_SESSION_HEIGHT if isinstance(line, SessionLine) else _RUN_HEIGHT for line in lines)
        tops = [0, *accumulate(heights)]
        has_moved = tops != self._tops
        self._lines, self._tops = lines, tops
        self._places = {line.run.record.id: i for i, line in enumerate(lines) if isinstance(line, RunLine)}
        cursor_before, self._cursor = self._cursor, self._place_of(under_cursor)
        if has_moved:
            self._fit_virtual_size()
        if self._cursor != cursor_before and self.scroll_offset.y:  # what is looked at stays where it stands
            self.scroll_to(y=tops[min(self._cursor, len(lines))] - offset, animate=False, force=True)
        elif self._cursor != cursor_before:
            self._scroll_to_cursor()
        if has_moved or self._cursor != cursor_before:
            self.refresh()
        else:
            self._refresh_changed(before)
        self.post_message(self.Arranged())

    def _show_changed(self, changed: Sequence[RunView]) -> None:
        """Take over other figures of some runs, and paint those that are in view."""
        for view in changed:
            self._views[view.record.id] = view
            place = self._places.get(view.record.id)
            line = None if place is None else self._lines[place]
            if place is not None and isinstance(line, RunLine) and line.run != view:
                self._lines[place] = line._replace(run=view)
                self._refresh_line(place)

    def _place_of(self, line: TreeLine | None) -> int:
        """Where a line stands now."""
        if isinstance(line, RunLine) and line.run.record.id in self._places:
            return self._places[line.run.record.id]
        session = line.run.record.session if isinstance(line, RunLine) else line.name if line else None
        heads = (i for i, head in enumerate(self._lines) if isinstance(head, SessionLine))
        of_session = (i for i in heads if self._lines[i][0] == session)
        fallback = self._places.get(self._selected or 0, min(self._cursor, max(len(self._lines) - 1, 0)))
        return next(of_session, fallback)

    def _refresh_changed(self, before: Sequence[TreeLine]) -> None:
        """Paint the lines in view that differ from what they were."""
        first = bisect_right(self._tops, self.scroll_offset.y) - 1
        for index in range(max(first, 0), len(self._lines)):
            if self._tops[index] >= self.scroll_offset.y + self.size.height:
                break
            if self._lines[index] != before[index]:
                self._refresh_line(index)

    def _move_to(self, index: int) -> None:
        if self._lines:
            self._set_cursor(min(max(index, 0), len(self._lines) - 1))
            line = self._line
            if isinstance(line, RunLine):
                self._select(line.run.record.id)

    def _go_to_wanted_session(self) -> None:
        newest = (view.record.id for view in self.runs if view.record.session == self._wanted_session)
        if (run := next(newest, None)) is not None:
            self._wanted_session = None
            self.select_run(run)

    def _select_beside(self, place: int | None) -> None:
        """Select the run that stands where one is gone, or the last before it."""
        if place is None or not self._places:
            self._select_first()
            return
        runs = sorted(self._places.values())
        line = self._lines[next((index for index in runs if index >= place), runs[-1])]
        assert isinstance(line, RunLine)
        self._select(line.run.record.id)

    def _select_first(self) -> None:
        first = next(iter(self._places), None)
        if first is not None:
            self._select(first)
        elif self._selected not in self._views:
            self._select(self.runs[0].record.id if self.runs else None)

    def _select(self, run: int | None) -> None:
        if run in self._places:
            self._set_cursor(self._places[run])
        if run != self._selected:
            self._selected = run
            self._wanted = None
            # From the list itself: a message that its pane had caused would not get past the pane.
            self.call_next(self._tell_selected)

    def _tell_selected(self) -> None:
        self.post_message(self.Selected())

    def _set_cursor(self, index: int) -> None:
        self._refresh_line(self._cursor)
        self._cursor = index
        self._refresh_line(index)
        self._scroll_to_cursor()

    def _refresh_line(self, index: int) -> None:
        if index < len(self._lines):
            self.refresh_lines(self._tops[index], self._tops[index + 1] - self._tops[index])

    def _scroll_to_cursor(self) -> None:
        if self._cursor < len(self._lines):
            top, end = self._tops[self._cursor], self._tops[self._cursor + 1]
            if isinstance(self._lines[max(self._cursor - 1, 0)], SessionLine):
                top = self._tops[max(self._cursor - 1, 0)]  # the head of a session goes with its first run
            self.scroll_to_region(Region(0, top, self.size.width, end - top), animate=False, force=True)

    def _fit_virtual_size(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self._tops[-1])

    @property
    def _cells(self) -> RunCells:
        return RunCells(self._tone, is_ranking=self._is_ranking, mark=self.marks.letter)

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"runs--{name}", partial=True)


def _changed(before: Sequence[RunView], after: Sequence[RunView]) -> list[RunView] | None:
    """The runs that are not what they were; None where there are others, or one is in another session."""
    if len(before) != len(after):
        return None
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old is not new]
    if any(_home(old) != _home(new) for old, new in pairs):
        return None
    return [new for _, new in pairs]


def _home(view: RunView) -> tuple[int, str]:
    return view.record.id, view.record.session
