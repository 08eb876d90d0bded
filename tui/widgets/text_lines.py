"""Lines of text in several tones that can be scrolled; painted line by line."""

from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.wrapping import Line


class TextLines(ScrollView, can_focus=True):
    """Shows what a function makes for the width there is."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--heading",
        "lines--good",
        "lines--bad",
        "lines--quiet",
        "lines--changed",
        "lines--strong",
        "lines--emphasis",
        "lines--code",
    }

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._make: Callable[[int], list[Line]] | None = None
        self._lines: list[Line] = []

    def show(self, make: Callable[[int], list[Line]]) -> None:
        """Show other lines, from where it is scrolled to."""
        self._make = make
        self._fit()

    def on_resize(self) -> None:
        """Break the lines for the new width."""
        self._fit()

    def watch_show_vertical_scrollbar(self) -> None:
        """Break them for what the scrollbar leaves: its coming and going is no resize."""
        self._fit()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        index = y + round(self.scroll_y)
        line = self._lines[index] if index < len(self._lines) else []
        segments = [
            Segment(text, self.get_component_rich_style(f"lines--{tone}", partial=True) if tone else None)
            for text, tone in line
        ]
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style).simplify()

    def _fit(self) -> None:
        width = self.scrollable_content_region.width
        if self._make is None or width < 1:
            return
        lines = self._make(width)
        if lines != self._lines:
            self._lines = lines
            self.virtual_size = Size(width, len(lines))
            self.refresh()
