"""A table of painted lines with a cursor: only those in view are made, however many there are."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.wrapping import Line


class LineTable(ScrollView, can_focus=False):
    """Lines that a function makes for the width there is; the first stands still if it is a header."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--placeholder",
        "table--changed",
        "table--good",
        "table--bad",
        "table--quiet",
    }

    class Moved(Message):
        """The cursor is on another line, or on none."""

    class Opened(Message):
        """A line was clicked twice."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._keys: list[Hashable] = []
        self._rows: object = None
        self._make: Callable[[int, int], Line] | None = None
        self._header: Callable[[int], Line] | None = None
        self._placeholder = ""
        self._cursor = 0

    @property
    def cursor(self) -> int | None:
        """Index of the line under the cursor; None: there is no line."""
        return self._cursor if self._cursor < len(self._keys) else None

    def show(
        self,
        rows: Sequence[object],
        keys: Sequence[Hashable],
        make: Callable[[int, int], Line],
        *,
        header: Callable[[int], Line] | None = None,
        placeholder: str = "",
    ) -> None:
        """Show other lines; the cursor stays on what it was on.

        Args:
            rows: What the lines are made from: nothing is painted where it is equal to what was shown.
            keys: What tells each line from the others.
            make: Makes the line of an index for a width.
            header: Makes what stands over them.
            placeholder: Stands in their place where there are none.
        """
        self._make, self._header = make, header
        state = (tuple(rows), placeholder)
        if state == self._rows:
            return
        under_cursor = self._keys[self._cursor] if self._cursor < len(self._keys) else None
        self._rows, self._keys, self._placeholder = state, list(keys), placeholder
        if under_cursor in self._keys:
            self._cursor = self._keys.index(under_cursor)
        else:
            self._cursor = min(self._cursor, max(len(self._keys) - 1, 0))
        self._fit()
        self.refresh()
        self.post_message(self.Moved())

    def move(self, lines: int) -> None:
        """Move the cursor by so many lines."""
        self.move_to(self._cursor + lines)

    def move_page(self, pages: int) -> None:
        """Move it by screenfuls."""
        self.move(pages * max(self._height - 1, 1))

    def move_to(self, index: int) -> None:
        """Move it to a line, or the nearest that there is."""
        index = min(max(index, 0), len(self._keys) - 1)
        if self._keys and index != self._cursor:
            self._cursor = index
            self._scroll_to_cursor()
            self.refresh()
            self.post_message(self.Moved())

    def move_to_key(self, key: Hashable) -> None:
        """Move it to the line of a key, where there is one."""
        if key in self._keys:
            self.move_to(self._keys.index(key))

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        if self._header is not None and y == 0:
            return self._painted(self._header(width), width, "table--header")
        index = y - self._top + round(self.scroll_y)
        if self._make is not None and index < len(self._keys):
            return self._painted(
                self._make(index, width), width, "table--cursor" if index == self._cursor else ""
            )
        if index == 0:
            return self._painted([(f" {self._placeholder}", "placeholder")], width, "")
        return Strip.blank(width, self.rich_style)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._fit()

    def on_click(self, event: Click) -> None:
        """Move the cursor to the line under the pointer; a double click opens it."""
        offset = event.get_content_offset(self)
        if offset is not None and offset.y >= self._top:
            index = offset.y - self._top + round(self.scroll_y)
            if index < len(self._keys):
                self.move_to(index)
                if event.chain > 1:
                    self.post_message(self.Opened())

    @property
    def _top(self) -> int:
        return 0 if self._header is None else 1

    @property
    def _height(self) -> int:
        return max(self.size.height - self._top, 1)

    def _painted(self, line: Line, width: int, whole: str) -> Strip:
        segments = [
            Segment(text, self.get_component_rich_style(f"table--{tone}", partial=True) if tone else None)
            for text, tone in line
        ]
        base = self.rich_style
        if whole:
            base += self.get_component_rich_style(whole, partial=True)
        return Strip(segments).adjust_cell_length(width).apply_style(base).simplify()

    def _fit(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._keys) + self._top)
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        # The header covers the first line of what is in view.
        region = Region(0, self._cursor, 1, 1 + self._top)
        self.scroll_to_region(region, animate=False, force=True)
