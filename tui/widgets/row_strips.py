"""The painted lines of the trajectory table, each painted once for as long as it looks the same."""

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.strip import Strip

from engine.store.records import EventRecord, StepRecord
from tui.folding import Folding, Unfolded
from tui.text import safe_text
from tui.trajectory import Place, Trajectory
from tui.widgets.columns import Difference
from tui.widgets.row_cells import RowCells, StepLine

MARGIN = 1
"""Blank cells on either side of a row."""

_MOST_STRIPS = 1000


class RowStrips:
    """Paints the header and the rows of a trajectory, with the same columns and colours."""

    def __init__(
        self,
        trajectory: Trajectory,
        lines: Folding | Unfolded,
        cells: RowCells,
        base: Callable[[], Style],
        missing: Callable[[int], None],
    ) -> None:
        """Paint these rows.

        Args:
            trajectory: The rows.
            lines: Which of them stand on which line.
            cells: What stands in their columns.
            base: The style below all others.
            missing: Called with the index of a row that would be shown and is not held; its line is painted
                anew the next time.
        """
        self._trajectory = trajectory
        self._lines = lines
        self._cells = cells
        self._base = base
        self._missing = missing
        self._header: Strip | None = None
        self._rows: LRUCache[tuple[Place, Place, bool], Strip] = LRUCache(_MOST_STRIPS)

    def header(self, width: int) -> Strip:
        """The titles of the columns."""
        if self._header is None:
            strip = Strip([Segment(" " * MARGIN + self._cells.header())]).adjust_cell_length(width)
            self._header = strip.apply_style(self._cells.tone("header")).apply_style(self._base())
        return self._header

    def row(self, line: int, width: int, *, is_cursor: bool) -> Strip:
        """A row, or the folded steps that stand on one line."""
        trajectory, span = self._trajectory, self._lines.span(line)
        first = trajectory.place(span[0])
        key = (first, first if len(span) == 1 else trajectory.place(span[-1]), is_cursor)
        strip = self._rows.get(key)
        if strip is None:
            newest, is_whole = trajectory.row(span[-1]), True
            if isinstance(newest, EventRecord):
                segments = self._cells.event(newest, width - 2 * MARGIN)
            elif newest is None:
                self._missing(span[-1])
                segments, is_whole = self._cells.unread(trajectory.step_at(span[-1])), False
            else:
                step_line, is_whole = self._step_line(line, newest)
                segments = self._cells.step(step_line)
            strip = Strip([Segment(" " * MARGIN), *segments]).adjust_cell_length(width)
            if is_cursor:
                strip = strip.apply_style(self._cells.tone("cursor"))
            # Every change of style costs some twenty bytes on the line: equal neighbours become one.
            strip = strip.apply_style(self._base()).simplify()
            if is_whole:
                self._rows[key] = strip
        return strip

    def _step_line(self, line: int, newest: StepRecord) -> tuple[StepLine, bool]:
        """What a line shows, and whether nothing of it has still to be read."""
        span = self._lines.span(line)
        decoded_at = self._lines.decoded_on(line)
        needs_previous = decoded_at is not None and self._cells.difference is Difference.PREVIOUS
        previous_at = self._trajectory.decoded_before(span[0]) if needs_previous else None
        decoded, previous = self._step_in(decoded_at), self._step_in(previous_at)
        is_whole = (decoded is None) == (decoded_at is None) and (previous is None) == (previous_at is None)
        first_step = self._trajectory.step_at(span[0])
        return StepLine(newest, first_step, len(span), decoded, previous), is_whole

    def _step_in(self, index: int | None) -> StepRecord | None:
        """The step in a row; None when it has to be read."""
        row = None if index is None else self._trajectory.row(index)
        if index is not None and row is None:
            self._missing(index)
        return row if isinstance(row, StepRecord) else None


def placeholder_line(lines: Sequence[str], y: int, height: int, width: int, style: Style) -> Strip:
    """Line `y` of texts that stand in the middle of an area of this height and width."""
    index = y - max((height - len(lines)) // 2 - 1, 0)
    if not 0 <= index < len(lines):
        return Strip.blank(width)
    text = safe_text(lines[index], limit=max(width - 2, 0))
    left = max((width - len(text)) // 2, 0)
    return Strip([Segment(" " * left), Segment(text, style)]).adjust_cell_length(width)


def with_badge(strip: Strip, badge: str, width: int, style: Style, base: Style) -> Strip:
    """A line with a short text over its end."""
    room = max(width - len(badge) - 1, 0)
    return Strip.join([strip.crop(0, room), Strip([Segment(badge, style), Segment(" ", base)])])
