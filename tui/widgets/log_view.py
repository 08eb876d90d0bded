"""Lines of text, painted line by line; follows their end until the user moves up."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollTo
from textual.strip import Strip

from tui.text import safe_text

_MARGIN = 1
_LEAST_TEXT = 10
"""Cells for text, below which what stands before it gives way."""


class LogLine(NamedTuple):
    """One line; where it is longer than the screen is wide it goes on in the next, under its text."""

    head: str
    """What stands before the text, quietly: for example when it happened."""
    text: str
    """As hostile as it likes."""
    tone: str = ""
    """Name of a tone; empty: plain."""


class LogLines(ScrollView, can_focus=False):
    """The lines, and which of them are in view."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--badge",
        "log--good",
        "log--busy",
        "log--warning",
        "log--bad",
        "log--quiet",
    }

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._lines: Sequence[LogLine] = ()
        self._first = 0
        self._painted: list[LogLine] = []
        """Lines as wide as the screen."""

        self._rows_of: list[int] = []
        """How many of those each line takes."""

        self.follows = True
        self.new_lines = 0
        """Lines added since it stopped following."""

    def show(self, lines: Sequence[LogLine], *, first: int = 0, is_same: bool = True) -> None:
        """Show these lines.

        Args:
            lines: All of them, oldest first.
            first: How many lines there were before the first of them.
            is_same: They are a later state of what was shown; else it is something else, from its end on.
        """
        if is_same and lines == self._lines:
            return
        gone = sum(self._rows_of[: max(first - self._first, 0)]) if is_same else 0
        added = first + len(lines) - self._first - len(self._lines)
        top = round(self.scroll_y)
        self._lines, self._first = lines, first
        if not is_same:
            self.follows = True
        self.new_lines = 0 if self.follows else self.new_lines + max(added, 0)
        self._fit()
        if not self.follows and gone:
            self.scroll_to(y=max(top - gone, 0), animate=False, force=True)
        self.refresh()

    def move(self, rows: int) -> None:
        """Scroll by so many lines; at the end it follows."""
        self._move_to(round(self.scroll_y) + rows)

    def move_page(self, pages: int) -> None:
        """Scroll by screenfuls."""
        self.move(pages * max(self.size.height - 1, 1))

    def move_to_end(self) -> None:
        """Show the end and follow it."""
        self._move_to(len(self._painted))

    def move_to_start(self) -> None:
        """Show the first line."""
        self._move_to(0)

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        index = y + round(self.scroll_y)
        if index >= len(self._painted):
            return Strip.blank(width, self.rich_style)
        head, text, tone = self._painted[index]
        segments = [
            Segment(" " * _MARGIN + head, self._tone("quiet")),
            Segment(text, self._tone(tone) if tone else Style.null()),
        ]
        strip = Strip(segments).adjust_cell_length(width).apply_style(self.rich_style).simplify()
        if y == self.size.height - 1 and self.new_lines:
            badge = f" {self.new_lines} new ↓ "
            strip = Strip.join(
                [strip.crop(0, max(width - len(badge), 0)), Strip([Segment(badge, self._tone("badge"))])]
            )
        return strip

    def on_resize(self, event: Resize) -> None:
        """Break the lines anew."""
        self._fit()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The user looks at older lines."""
        self.follows = False
        self.call_after_refresh(self._follow_at_end)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The user may have come to the end."""
        self.call_after_refresh(self._follow_at_end)

    def on_scroll_to(self, event: ScrollTo) -> None:
        """The scrollbar was moved."""
        self.follows = False
        self.call_after_refresh(self._follow_at_end)

    def _move_to(self, row: int) -> None:
        last = max(len(self._painted) - self.size.height, 0)
        row = min(max(row, 0), last)
        self._set_following(row == last)
        self.scroll_to(y=row, animate=False, force=True)

    def _follow_at_end(self) -> None:
        self._set_following(self.scroll_y >= self.max_scroll_y)

    def _set_following(self, follows: bool) -> None:
        self.follows = follows
        if follows and self.new_lines:
            self.new_lines = 0
            self.refresh()

    def _fit(self) -> None:
        width = self.scrollable_content_region.width - _MARGIN
        self._painted, self._rows_of = [], []
        for line in self._lines:
            broken = broken_line(line, width)
            self._painted += broken
            self._rows_of.append(len(broken))
        self.virtual_size = Size(width + _MARGIN, len(self._painted))
        if self.follows:
            self.scroll_to(y=max(len(self._painted) - self.size.height, 0), animate=False, force=True)

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"log--{name}", partial=True)


def broken_line(line: LogLine, width: int) -> list[LogLine]:
    """The line as one or more that fit into a width in cells, harmless on a terminal."""
    head = safe_text(line.head)
    if width - cell_len(head) < _LEAST_TEXT:
        head = ""
    pieces = chop_cells(safe_text(line.text), max(width - cell_len(head), 2)) or [""]
    indent = " " * cell_len(head)
    return [LogLine(indent if index else head, piece, line.tone) for index, piece in enumerate(pieces)]
