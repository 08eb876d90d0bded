"""The trajectory table: painted line by line, so a row costs the same at ten rows and at fifty thousand."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollTo
from textual.strip import Strip

from engine.store.records import StepRecord
from tui.actions import Place, bindings
from tui.folding import Folding, Unfolded
from tui.text import safe_text
from tui.trajectory import Trajectory
from tui.widgets.columns import Column, Difference, Numbers, choose_columns
from tui.widgets.row_cells import RowCells
from tui.widgets.row_strips import MARGIN, RowStrips, placeholder_line, with_badge

_HEADER_LINES = 1
_NOTICE_S = 3.0

_AHEAD_ROWS = 200
"""Rows above and below those in view that are read before they are looked at."""


class TrajectoryTable(ScrollView, can_focus=True):
    """The rows of one run; follows its end until the user moves up."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--badge",
        "table--placeholder",
        "table--good",
        "table--busy",
        "table--warning",
        "table--bad",
        "table--quiet",
        "table--changed",
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.TABLE)

    class Left(Message):
        """The user wants to go back to the list of runs."""

    class Opened(Message):
        """The user wants to see all of a row."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class RowsMissing(Message):
        """Rows are looked at that are not held; `supply` wants them."""

        def __init__(self, run: int, steps: range) -> None:
            super().__init__()
            self.run = run
            self.steps = steps

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._trajectory = Trajectory()
        self._placeholder: tuple[str, ...] = ()
        self._target = ""
        self._difference = Difference.PREVIOUS
        self._shows = Numbers.STANDARD
        self._lines: Folding | Unfolded = Unfolded(self._trajectory)
        self._place_before_folding = (0, 0)
        self._awaited: tuple[int, int] | None = None
        self._columns: tuple[Column, ...] = ()
        self._width = 0
        self._height = 0
        self._painted: RowStrips | None = None
        self._awaits_rows = False
        """Something has been painted of which not everything was held."""

        self.cursor = 0
        """Index in the trajectory of the row that the keys move."""

        self.follows = True
        """The newest row is kept in view."""

        self.new_rows = 0
        """Rows added since the table stopped following."""

    def show_trajectory(self, trajectory: Trajectory, *, target: str = "", keep_place: bool = False) -> None:
        """Show other rows, from their end, or in the same place where they are the same run's again."""
        place = self.place if keep_place else None
        self._trajectory = trajectory
        self._target = target
        self._lines = Folding(trajectory) if self._is_folded else Unfolded(trajectory)
        self.follows = place is None
        self.new_rows = 0
        if place is not None and trajectory.run is not None:
            self.cursor = trajectory.index_at(place)
            self._awaited = (trajectory.run, place)
        self._forget_strips()
        self._fit()
        self._go_to_awaited()
        self.refresh()

    def show_placeholder(self, *lines: str) -> None:
        """Set what stands in the middle while there are no rows."""
        if lines != self._placeholder:
            self._placeholder = lines
            if not len(self._trajectory):
                self.refresh()

    @property
    def has_rows(self) -> bool:
        """Whether something of the run has been read."""
        return len(self._trajectory) > 0

    @property
    def place(self) -> int | None:
        """The step that the cursor is at; None while the table follows its end."""
        if self._awaited is not None and self._trajectory.run == self._awaited[0]:
            return self._awaited[1]
        return None if self.follows else self._trajectory.nearest_step(self.cursor)

    def restore_place(self, run: int, step: int | None) -> None:
        """Put the cursor on a step of a run as soon as its row is there; None: follow the end."""
        self._awaited = None if step is None else (run, step)
        self._go_to_awaited()
        if step is None:
            self._move_to(len(self._trajectory))

    def go_to_step(self, step: int) -> None:
        """Put the cursor on the row of a step, where it is there."""
        if (index := self._trajectory.index_of(step)) is not None:
            self._move_to(index)

    def rows_added(self, indexes: Iterable[int]) -> None:
        """Rows were inserted into the trajectory at these places, in this order."""
        indexes = list(indexes)
        if not indexes:
            return
        top_line = round(self.scroll_y)
        last = len(self._trajectory) - len(indexes) - 1
        top = self._lines.span(top_line).start if last >= 0 else 0
        is_in_between = False
        for index in indexes:
            if last >= 0 and index <= top:
                top += 1
            if index <= self.cursor and not self.follows:
                self.cursor += 1
            if index <= last:
                is_in_between = True
                last += 1
            elif not self.follows:
                self.new_rows += 1
        if is_in_between:
            # A step may have got another one before it, whose words it differs from.
            self._forget_strips()
        self._lines.update(min(indexes))
        self._fit()
        new_top_line = self._lines.line_of(top)
        if not self.follows and new_top_line != top_line:
            self._show_from(new_top_line)
        if self.follows or is_in_between or self._lines.line_of(min(indexes)) < top_line + self._page():
            self.refresh()
        else:
            self._refresh_badge()
        self._go_to_awaited()

    def rows_removed(self) -> None:
        """Rows at the end of the trajectory are gone; the table follows its end."""
        self._lines.update(len(self._trajectory))
        self.follows, self.new_rows, self._awaited = True, 0, None
        self._fit()
        self.refresh()

    def supply(self, run: int, rows: Sequence[StepRecord]) -> None:
        """Take rows that were missing."""
        if rows and run == self._trajectory.run:
            self._trajectory.supply(rows)
            if self._awaits_rows:
                self._awaits_rows = False
                self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self._width
        if not len(self._trajectory):
            shown = placeholder_line(self._placeholder, y, self.size.height, width, self._tone("placeholder"))
            return shown.apply_style(self.rich_style)
        if y < _HEADER_LINES:
            return self._strips.header(width)
        line = y + round(self.scroll_y) - _HEADER_LINES
        if line >= len(self._lines):
            strip = Strip.blank(width, self.rich_style)
        else:
            if not self._is_folded and y in (_HEADER_LINES, self._height - 1):
                self._look_ahead(line)
            is_cursor = self.has_focus and self.cursor in self._lines.span(line)
            strip = self._strips.row(line, width, is_cursor=is_cursor)
        if y == self._height - 1 and self.new_rows:
            strip = with_badge(strip, f" {self.new_rows} new ↓ ", width, self._tone("badge"), self.rich_style)
        return strip

    def notify_style_update(self) -> None:
        """Paint again in other colours."""
        super().notify_style_update()
        self._forget_strips()

    def on_resize(self, event: Resize) -> None:
        """Choose the columns for the new width."""
        self._forget_strips()
        self._columns = ()
        self._fit()

    def on_focus(self) -> None:
        """Show the cursor."""
        self._refresh_row(self.cursor)

    def on_blur(self) -> None:
        """Hide the cursor."""
        self._refresh_row(self.cursor)

    def on_click(self, event: Click) -> None:
        """Put the cursor on the row under the pointer."""
        offset = event.get_content_offset(self)
        if offset is not None and offset.y >= _HEADER_LINES:
            self._move_to_line(offset.y + round(self.scroll_y) - _HEADER_LINES)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The user looks at older rows."""
        self.follows, self._awaited = False, None
        self.call_after_refresh(self._follow_at_end)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The user may have come to the end."""
        self.call_after_refresh(self._follow_at_end)

    def on_scroll_to(self, event: ScrollTo) -> None:
        """The scrollbar was moved."""
        self.follows, self._awaited = False, None
        self.call_after_refresh(self._follow_at_end)

    def action_row_up(self) -> None:
        """Move up a row."""
        self._move_to_line(self._lines.line_of(self.cursor) - 1)

    def action_row_down(self) -> None:
        """Move down a row."""
        self._move_to_line(self._lines.line_of(self.cursor) + 1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self._move_to_line(self._lines.line_of(self.cursor) - self._page())

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self._move_to_line(self._lines.line_of(self.cursor) + self._page())

    def action_first_row(self) -> None:
        """Go to the first row."""
        self._move_to(0)

    def action_last_row(self) -> None:
        """Go to the last row and follow."""
        self._move_to(len(self._trajectory))

    def action_to_runs(self) -> None:
        """Go back to the list of runs."""
        self.post_message(self.Left())

    def action_open_row(self) -> None:
        """Open the step under the cursor; from an event the step that comes after it, or the one before."""
        if (nearest := self._trajectory.nearest_step(self.cursor)) is not None:
            self.post_message(self.Opened(nearest))

    def action_cycle_difference(self) -> None:
        """Compare the words with the previous decoded row, with the target, with nothing."""
        self._difference = self._difference.following
        self._forget_strips()
        self._fit()
        self.refresh()

    def action_cycle_numbers(self) -> None:
        """Show the usual numbers, what is measured of decoded rows, or the loss terms."""
        self._shows = self._shown_numbers.after(len(self._terms), self._trajectory.measures)
        self._forget_strips()
        self._fit()
        self.refresh()
        self.notify(f"The table shows {self._shows.value}", timeout=_NOTICE_S, markup=False)

    def action_toggle_folding(self) -> None:
        """Fold steps that decode to the same prediction, or show every one again where it was."""
        here = (self.cursor, round(self.scroll_y))
        offset = self._lines.line_of(self.cursor) - round(self.scroll_y)
        if not self._is_folded:
            self._lines = Folding(self._trajectory)
            self._place_before_folding = here
            top = self._lines.line_of(self.cursor) - offset
        else:
            self._lines = Unfolded(self._trajectory)
            cursor, top = self._place_before_folding
            if cursor != self.cursor:
                top = self.cursor - offset
        self._forget_strips()
        self._fit()
        if not self.follows:
            self._show_from(min(max(top, 0), max(len(self._lines) - self._page(), 0)))
        self.refresh()

    def action_next_change(self) -> None:
        """Go to the next row whose decoded prediction is another one."""
        self._jump(self._trajectory.next_change(self.cursor), "No later change of the prediction")

    def action_previous_change(self) -> None:
        """Go to the last such row before this one."""
        self._jump(self._trajectory.previous_change(self.cursor), "No earlier change of the prediction")

    def action_first_match(self) -> None:
        """Go to the first row whose decoded prediction is the target."""
        self._jump(self._trajectory.first_match(), "No decoded prediction is the target yet")

    def action_next_event(self) -> None:
        """Go to the next event."""
        self._jump(self._trajectory.next_event(self.cursor), "No later event")

    def action_previous_event(self) -> None:
        """Go to the event before."""
        self._jump(self._trajectory.next_event(self.cursor, forward=False), "No earlier event")

    def _jump(self, index: int | None, otherwise: str) -> None:
        if index is None:
            self.notify(otherwise, timeout=_NOTICE_S)
        else:
            self._move_to(index)

    def _go_to_awaited(self) -> None:
        """Go to the place that is to be restored, once its row is there."""
        if self._awaited is None or self._trajectory.run != self._awaited[0]:
            return
        if (index := self._trajectory.index_of(self._awaited[1])) is not None:
            self._move_to(index)
            self._set_following(False)

    def _move_to_line(self, line: int) -> None:
        """Put the cursor on a line: on the newest of the rows that it stands for."""
        if len(self._lines):
            self._move_to(self._lines.span(min(max(line, 0), len(self._lines) - 1))[-1])

    def _move_to(self, index: int) -> None:
        """Put the cursor on a row; on the last one the table follows."""
        last = len(self._trajectory) - 1
        if last < 0:
            return
        self._awaited = None
        before, self.cursor = self.cursor, min(max(index, 0), last)
        self._set_following(self.cursor == last)
        self._refresh_row(before)
        self._refresh_row(self.cursor)
        self._scroll_to_cursor()

    def _set_following(self, follows: bool) -> None:
        self.follows = follows
        if follows and self.new_rows:
            self.new_rows = 0
            self._refresh_badge()

    def _follow_at_end(self) -> None:
        if self.scroll_y >= self.max_scroll_y:
            self._set_following(True)
            self.cursor = max(len(self._trajectory) - 1, 0)
        else:
            self.follows = False
        self.refresh()

    @property
    def _is_folded(self) -> bool:
        return isinstance(self._lines, Folding)

    def _fit(self) -> None:
        """Make room for the rows there are, and keep what is looked at in view."""
        lines = len(self._lines)
        width = self._width = self.scrollable_content_region.width
        self._height = self.size.height  # kept, as the width is: every line that is painted asks
        size = Size(width, lines + _HEADER_LINES if lines else 0)
        # Without the reactive's own layout, which would paint every line again although none may change.
        self.set_reactive(TrajectoryTable.virtual_size, size)
        self.vertical_scrollbar.window_virtual_size = size.height
        columns = choose_columns(
            width - 2 * MARGIN,
            self._trajectory.last_step or 0,
            cell_len(safe_text(self._target)),
            terms=self._terms,
            measures=self._trajectory.measures,
            shows=self._shown_numbers,
            difference=self._difference,
            is_folded=self._is_folded,
        )
        if columns != self._columns:
            self._columns = columns
            self._forget_strips()
        last_row = max(len(self._trajectory) - 1, 0)
        if self.follows:
            self.cursor = last_row
            self._show_from(max(lines - self._page(), 0))
        self.cursor = min(self.cursor, last_row)

    @property
    def _terms(self) -> tuple[str, ...]:
        newest = self._trajectory.newest
        return tuple(newest.terms) if newest else ()

    @property
    def _shown_numbers(self) -> Numbers:
        """What was chosen, as long as the run has such numbers."""
        there = Numbers.there(len(self._terms), self._trajectory.measures)
        return self._shows if self._shows in there else Numbers.STANDARD

    def _page(self) -> int:
        return max(self.size.height - _HEADER_LINES, 1)

    def _show_from(self, line: int) -> None:
        self.scroll_to(y=line, animate=False, force=True)

    def _scroll_to_cursor(self) -> None:
        top, line = round(self.scroll_y), self._lines.line_of(self.cursor)
        if line < top:
            self._show_from(line)
        elif line >= top + self._page():
            self._show_from(line - self._page() + 1)

    def _refresh_row(self, index: int) -> None:
        line = self._lines.line_of(index) - round(self.scroll_y) + _HEADER_LINES
        if _HEADER_LINES <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def _refresh_badge(self) -> None:
        self.refresh(Region(0, self.size.height - 1, self.size.width, 1))

    def _forget_strips(self) -> None:
        """What was painted looks otherwise now."""
        self._painted = None

    @property
    def _strips(self) -> RowStrips:
        if self._painted is None:
            cells = RowCells(self._columns, self._difference, self._target, self._tone)
            self._painted = RowStrips(
                self._trajectory, self._lines, cells, lambda: self.rich_style, self._await_row
            )
        return self._painted

    def _await_row(self, index: int) -> None:
        """Have a row read that is in view, which is painted again when it comes."""
        self._awaits_rows = True
        self._want(index)

    def _look_ahead(self, line: int) -> None:
        """Have the rows read that come into view next."""
        for index in (line - _AHEAD_ROWS, line + _AHEAD_ROWS):
            index = min(max(index, 0), len(self._lines) - 1)
            if self._trajectory.row(index) is None:
                self._want(index)

    def _want(self, index: int) -> None:
        """Have a row read, and those around it unless most of them are folded away."""
        around = 0 if self._is_folded else _AHEAD_ROWS
        steps, run = self._trajectory.ask(index, around=around), self._trajectory.run
        if steps is not None and run is not None:
            self.post_message(self.RowsMissing(run, steps))

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"table--{name}", partial=True)
