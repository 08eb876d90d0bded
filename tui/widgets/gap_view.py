"""The gap of a run, painted line by line: four lines a group of steps, however many there are."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rich.segment import Segment
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.gap import GapGroup, GapRow
from tui.widgets.gap_lines import GROUP_LINES, group_lines

_AHEAD_GROUPS = 40
"""Groups above and below those in view that are held."""


@dataclass(frozen=True)
class SeenGroups:
    """Groups of steps, and the rows of some of them."""

    target: str = ""
    first_steps: Sequence[int] = ()
    last_steps: Sequence[int] = ()
    counts: Sequence[int] = ()
    rows: Mapping[int, GapRow] = field(default_factory=dict)
    """The newest row of a group, by its last step; of those around what is in view."""


class GapView(ScrollView, can_focus=False):
    """Follows the end until the user moves up; the cursor is a group."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--heading",
        "lines--good",
        "lines--quiet",
        "lines--changed",
        "table--cursor",
        "table--placeholder",
    }

    class Missing(Message):
        """Groups are looked at whose rows are not held."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._seen = SeenGroups()
        self._painted: list[list[Strip]] = []
        self._painted_for: tuple[int, int | None] = (-1, None)
        self.cursor = 0
        """Index of a group."""
        self.follows = True
        """The newest group is kept in view."""

    @property
    def step(self) -> int | None:
        """The newest step of the group under the cursor; None: there is none."""
        return self._seen.last_steps[self.cursor] if self.cursor < len(self._seen.last_steps) else None

    @property
    def is_at_top(self) -> bool:
        """The oldest group is kept in view, whichever that is."""
        return not self.follows and self.cursor == 0 and round(self.scroll_y) == 0

    @property
    def wanted(self) -> range:
        """The groups whose rows are to be held: those in view, and some around them."""
        count = len(self._seen.first_steps)
        if self.follows:
            return range(max(count - self._page - _AHEAD_GROUPS, 0), count + self._page)
        top = round(self.scroll_y) // GROUP_LINES
        return range(max(top - _AHEAD_GROUPS, 0), top + self._page + _AHEAD_GROUPS)

    def show(self, seen: SeenGroups) -> None:
        """Show other groups, or more of them."""
        if seen == self._seen:
            return
        step, offset = self.step, round(self.scroll_y) - self.cursor * GROUP_LINES
        self._seen = seen
        if step is not None and not self.is_at_top:  # older groups may have come before it
            self.cursor = bisect_left(seen.last_steps, step)
        self.cursor = min(self.cursor, max(len(seen.first_steps) - 1, 0))
        self._fit()
        if not self.follows:
            self.scroll_to(y=self.cursor * GROUP_LINES + offset, animate=False, force=True)
        self.refresh()

    def move(self, groups: int) -> None:
        """Move the cursor by so many groups."""
        self.move_to(self.cursor + groups)

    def move_page(self, pages: int) -> None:
        """Move it by screenfuls."""
        self.move(pages * self._page)

    def move_to(self, group: int) -> None:
        """Move it to a group, or the nearest that there is; on the last one the view follows."""
        last = len(self._seen.first_steps) - 1
        if last < 0:
            return
        self.cursor = min(max(group, 0), last)
        self.follows = self.cursor == last
        self._scroll_to_cursor()
        self.refresh()

    def move_to_end(self) -> None:
        """Move it to the newest group."""
        self.move_to(len(self._seen.first_steps))

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._fit()

    def on_click(self, event: Click) -> None:
        """Move the cursor to the group under the pointer."""
        offset = event.get_content_offset(self)
        if offset is not None:
            self.move_to((offset.y + round(self.scroll_y)) // GROUP_LINES)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """What comes into view has to be read; the mouse may have gone away from the end."""
        super().watch_scroll_y(old, new)
        if new < self.max_scroll_y and new < old:
            self.follows = False
        first, count = round(new) // GROUP_LINES, len(self._seen.first_steps)
        in_view = range(first, min(first + self._page + 1, count))
        if any(self._seen.last_steps[group] not in self._seen.rows for group in in_view):
            self.post_message(self.Missing())

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        index, line = divmod(y + round(self.scroll_y), GROUP_LINES)
        if index >= len(self._seen.first_steps):
            return Strip.blank(width, self.rich_style)
        is_cursor = index == self.cursor
        pieces = self._lines(index, width)[line]
        segments = [
            Segment(text, self.get_component_rich_style(f"lines--{tone}", partial=True) if tone else None)
            for text, tone in pieces
        ]
        strip = Strip(segments).adjust_cell_length(width)
        if is_cursor and line == 0:
            strip = strip.apply_style(self.get_component_rich_style("table--cursor", partial=True))
        return strip.apply_style(self.rich_style).simplify()

    def _lines(self, index: int, width: int) -> list[list[tuple[str, str]]]:
        seen = self._seen
        row = seen.rows.get(seen.last_steps[index])
        if row is None:
            return [[(f"step {seen.first_steps[index]} …", "quiet")], [], [], []]
        return group_lines(GapGroup(seen.first_steps[index], seen.counts[index], row), seen.target, width)

    @property
    def _page(self) -> int:
        return max(self.size.height // GROUP_LINES, 1)

    def _fit(self) -> None:
        lines = len(self._seen.first_steps) * GROUP_LINES
        self.virtual_size = Size(self.scrollable_content_region.width, lines)
        if self.follows:
            self.cursor = max(len(self._seen.first_steps) - 1, 0)
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        if self.follows:
            self.scroll_to(y=self.virtual_size.height, animate=False, force=True)
            return
        top, height = self.cursor * GROUP_LINES, max(self.size.height, GROUP_LINES)
        if top < self.scroll_y:
            self.scroll_to(y=top, animate=False, force=True)
        elif top + GROUP_LINES > self.scroll_y + height:
            self.scroll_to(y=top + GROUP_LINES - height, animate=False, force=True)
