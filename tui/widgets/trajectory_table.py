"""The trajectory table: painted line by line, so a row costs the same at ten rows and at fifty thousand."""

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.cache import LRUCache
from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollTo
from textual.strip import Strip

from engine.store.records import EventRecord, StepRecord
from tui.actions import Place, bindings
from tui.numbers import MISSING, NOT_FINITE, loss_text, lr_text, norm_text, similarity_text
from tui.text import fit_text, safe_text
from tui.trajectory import Row, Trajectory
from tui.widgets.badges import match_sign
from tui.widgets.columns import GAP, Column, choose_columns

_HEADER_LINES = 1
_MARGIN = 1
_EVENT_TONES = {"lr": "busy", "paused": "warning", "failed": "bad", "crashed": "bad", "device": "warning"}


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
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.TABLE)

    class Left(Message):
        """The user wants to go back to the list of runs."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._trajectory = Trajectory()
        self._placeholder: tuple[str, ...] = ()
        self._target_cells = 0
        self._columns: tuple[Column, ...] = ()
        self._strips: LRUCache[tuple[int, bool], Strip] = LRUCache(1000)
        self.cursor = 0
        """Index of the row that the keys move."""

        self.follows = True
        """The newest row is kept in view."""

        self.new_rows = 0
        """Rows added since the table stopped following."""

    def show_trajectory(self, trajectory: Trajectory, *, target: str = "", keep_place: bool = False) -> None:
        """Show other rows, from their end, or in the same place where they are the same run's again."""
        self._trajectory = trajectory
        self._target_cells = cell_len(safe_text(target))
        if not keep_place:
            self.follows = True
        self.new_rows = 0
        self._strips.clear()
        self._fit()
        self.refresh()

    def show_placeholder(self, *lines: str) -> None:
        """Set what stands in the middle while there are no rows."""
        if lines != self._placeholder:
            self._placeholder = lines
            if not self._trajectory.rows:
                self.refresh()

    def rows_added(self, indexes: Iterable[int]) -> None:
        """Rows were inserted into the trajectory at these places, in this order."""
        first_painted, height = round(self.scroll_y), self._page()
        is_visible = False
        count = 0
        for index in indexes:
            count += 1
            if index <= self.cursor and not self.follows:
                self.cursor += 1
            is_visible = is_visible or index < first_painted + height
        if not count:
            return
        if not self.follows:
            self.new_rows += count
        self._fit()
        if self.follows or is_visible:
            self.refresh()
        else:
            self._refresh_badge()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        if not self._trajectory.rows:
            return self._placeholder_line(y, width).apply_style(self.rich_style)
        if y < _HEADER_LINES:
            return self._header(width).apply_style(self.rich_style)
        index = y + round(self.scroll_y) - _HEADER_LINES
        if index >= len(self._trajectory.rows):
            strip = Strip.blank(width, self.rich_style)
        else:
            is_cursor = index == self.cursor and self.has_focus
            strip = self._row_strip(self._trajectory.rows[index], width, is_cursor)
        if y == self.size.height - 1 and self.new_rows:
            strip = self._with_badge(strip, width)
        return strip

    def notify_style_update(self) -> None:
        """Paint again in other colours."""
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self, event: Resize) -> None:
        """Choose the columns for the new width."""
        self._strips.clear()
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
            self._move_to(offset.y + round(self.scroll_y) - _HEADER_LINES)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The user looks at older rows."""
        self.follows = False
        self.call_after_refresh(self._follow_at_end)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The user may have come to the end."""
        self.call_after_refresh(self._follow_at_end)

    def on_scroll_to(self, event: ScrollTo) -> None:
        """The scrollbar was moved."""
        self.follows = False
        self.call_after_refresh(self._follow_at_end)

    def action_row_up(self) -> None:
        """Move up a row."""
        self._move_to(self.cursor - 1)

    def action_row_down(self) -> None:
        """Move down a row."""
        self._move_to(self.cursor + 1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self._move_to(self.cursor - self._page())

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self._move_to(self.cursor + self._page())

    def action_first_row(self) -> None:
        """Go to the first row."""
        self._move_to(0)

    def action_last_row(self) -> None:
        """Go to the last row and follow."""
        self._move_to(len(self._trajectory.rows))

    def action_to_runs(self) -> None:
        """Go back to the list of runs."""
        self.post_message(self.Left())

    def _move_to(self, index: int) -> None:
        """Put the cursor on a row; on the last one the table follows."""
        last = len(self._trajectory.rows) - 1
        if last < 0:
            return
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
            self.cursor = max(len(self._trajectory.rows) - 1, 0)
        else:
            self.follows = False
        self.refresh()

    def _fit(self) -> None:
        """Make room for the rows there are, and keep what is looked at in view."""
        rows = len(self._trajectory.rows)
        width = self.scrollable_content_region.width
        size = Size(width, rows + _HEADER_LINES if rows else 0)
        # Without the reactive's own layout, which would paint every line again although none may change.
        self.set_reactive(TrajectoryTable.virtual_size, size)
        self.vertical_scrollbar.window_virtual_size = size.height
        largest = self._trajectory.last_step.step if self._trajectory.last_step else 0
        columns = choose_columns(width - 2 * _MARGIN, largest, self._target_cells)
        if columns != self._columns:
            self._columns = columns
            self._strips.clear()
        if self.follows:
            self.cursor = max(rows - 1, 0)
            self.scroll_to(y=max(rows - self._page(), 0), animate=False, force=True)
        self.cursor = min(self.cursor, max(rows - 1, 0))

    def _page(self) -> int:
        return max(self.size.height - _HEADER_LINES, 1)

    def _scroll_to_cursor(self) -> None:
        top = round(self.scroll_y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + self._page():
            self.scroll_to(y=self.cursor - self._page() + 1, animate=False, force=True)

    def _refresh_row(self, index: int) -> None:
        line = index - round(self.scroll_y) + _HEADER_LINES
        if _HEADER_LINES <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def _refresh_badge(self) -> None:
        self.refresh(Region(0, self.size.height - 1, self.size.width, 1))

    def _placeholder_line(self, y: int, width: int) -> Strip:
        index = y - max((self.size.height - len(self._placeholder)) // 2 - 1, 0)
        if not 0 <= index < len(self._placeholder):
            return Strip.blank(width)
        text = safe_text(self._placeholder[index], limit=max(width - 2, 0))
        left = max((width - len(text)) // 2, 0)
        segments = [Segment(" " * left), Segment(text, self._tone("placeholder"))]
        return Strip(segments).adjust_cell_length(width)

    def _header(self, width: int) -> Strip:
        line = (" " * GAP).join(
            column.title[: column.width].rjust(column.width)
            if column.is_number
            else column.title[: column.width].ljust(column.width)
            for column in self._columns
        )
        strip = Strip([Segment(" " * _MARGIN + line)]).adjust_cell_length(width)
        return strip.apply_style(self._tone("header"))

    def _row_strip(self, row: Row, width: int, is_cursor: bool) -> Strip:
        key = (id(row), is_cursor)
        strip = self._strips.get(key)
        if strip is None:
            segments = self._step_cells(row) if isinstance(row, StepRecord) else self._event_cells(row, width)
            strip = Strip([Segment(" " * _MARGIN), *segments]).adjust_cell_length(width)
            if is_cursor:
                strip = strip.apply_style(self._tone("cursor"))
            # Every change of style costs some twenty bytes on the line: equal neighbours become one.
            strip = strip.apply_style(self.rich_style).simplify()
            self._strips[key] = strip
        return strip

    def _step_cells(self, step: StepRecord) -> list[Segment]:
        quiet, plain = self._tone("quiet"), Style.null()
        good = self._tone("good") if step.match else plain
        shown = {
            "step": (str(step.step), quiet),
            "loss": (NOT_FINITE, self._tone("bad")) if step.loss is None else (loss_text(step.loss), plain),
            "similarity": (similarity_text(step.similarity), plain),
            "lr": ("" if step.lr is None else lr_text(step.lr), quiet),
            "z_norm": (norm_text(step.z_norm), quiet),
            "match": (match_sign(step.match), good if step.match else quiet),
            "prediction": (step.decoded_prediction or "", good),
            "z": (step.decoded_z or "", quiet),
        }
        segments = []
        for column in self._columns:
            text, style = shown[column.key]
            if column.is_number:
                # A missing or unending number still takes its column's cells and no more.
                text = text.rjust(column.width) if len(text) <= column.width else MISSING.rjust(column.width)
            else:
                text = fit_text(text, column.width)
            segments.append(Segment(text + " " * GAP, plain if text.isspace() else style))
        return segments

    def _event_cells(self, event: EventRecord, width: int) -> list[Segment]:
        tone = self._tone(_EVENT_TONES.get(event.kind, "quiet"))
        lead = " " * (self._columns[0].width + GAP)
        separator = " " if event.kind == "lr" else ": "
        said = event.kind + separator + event.detail if event.detail else event.kind
        text = safe_text(said, limit=max(width - len(lead) - 8, 1))
        rule = "─" * max(width - 2 * _MARGIN - len(lead) - cell_len(text) - 4, 0)
        quiet = self._tone("quiet")
        return [Segment(lead), Segment("── ", quiet), Segment(text, tone), Segment(" " + rule, quiet)]

    def _with_badge(self, strip: Strip, width: int) -> Strip:
        badge = f" {self.new_rows} new ↓ "
        return Strip.join(
            [
                strip.crop(0, max(width - len(badge) - 1, 0)),
                Strip([Segment(badge, self._tone("badge")), Segment(" ", self.rich_style)]),
            ]
        )

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"table--{name}", partial=True)
