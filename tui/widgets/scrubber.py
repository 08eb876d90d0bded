"""Where a replay stands: a bar to be dragged with marks of what happened, and what it says in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.events import MouseDown, MouseMove, MouseUp
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.numbers import duration_text
from tui.text import safe_text
from tui.widgets.badges import MATCH
from tui.widgets.chart_strip import MARK

Line = list[tuple[str, str]]
"""Texts of a painted line with their tones."""

POSITION, CHANGE = "●", "·"
_PASSED, _TO_COME = "━", "─"
_GAP = "   "
_LEGEND = f"{MARK} event  {CHANGE} change  {MATCH} first match"


@dataclass(frozen=True)
class ScrubberView:
    """All that the scrubber says."""

    step: int
    first: int
    last: int
    """Steps of the row that is shown, of the first and of the last row."""

    is_playing: bool
    speed: str
    elapsed_ms: float
    total_ms: float
    """Recorded milliseconds until the row that is shown, and until the last; 0 where none were recorded."""


@dataclass(frozen=True)
class Marks:
    """Steps at which something happened."""

    events: Sequence[int] = ()
    changes: Sequence[int] = ()
    """The prediction decodes to something else."""
    first_match: int | None = None


class Scrubber(Widget):
    """Two lines; the upper one can be clicked and dragged."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "scrubber--replay",
        "scrubber--position",
        "scrubber--passed",
        "scrubber--to-come",
        "scrubber--event",
        "scrubber--match",
        "scrubber--quiet",
    }

    class Grabbed(Message):
        """The mouse holds the position from now on."""

    class Sought(Message):
        """The mouse is at a place of the bar."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step
            """The step for which the place stands; it need not have a row."""

    class Released(Message):
        """The mouse no longer holds it."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._view: ScrubberView | None = None
        self._marks = Marks()
        self._signs: Mapping[int, str] = {}
        self._lines: list[Line] = []
        self._is_held = False

    def show(self, view: ScrubberView, marks: Marks) -> None:
        """Say something else; the same again costs nothing."""
        if marks is not self._marks:
            self._marks = marks
            self._view = view
            self._place_marks()
        self._view = view
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._place_marks()
        self._draw()

    def on_mouse_down(self, event: MouseDown) -> None:
        """Take hold of the position."""
        offset = event.get_content_offset(self)
        if self._view is not None and offset is not None and offset.y == 0:
            self._is_held = True
            self.capture_mouse()
            self.post_message(self.Grabbed())
            self._seek(offset.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        """Take it along."""
        if self._is_held:
            self._seek(event.x - self.gutter.left)

    def on_mouse_up(self, event: MouseUp) -> None:
        """Let go of it."""
        if self._is_held:
            self._is_held = False
            self.release_mouse()
            self.post_message(self.Released())

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        segments = [Segment(text, self._tone(tone)) for text, tone in self._lines[y] if text]
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)

    def _seek(self, column: int) -> None:
        if self._view is not None:
            self.post_message(self.Sought(step_at(self._view, column, self.content_size.width)))

    def _place_marks(self) -> None:
        if self._view is not None:
            self._signs = mark_signs(self._view, self._marks, self.content_size.width)

    def _draw(self) -> None:
        width = self.content_size.width
        if self._view is None or not width:
            return
        lines = [bar_line(self._view, self._signs, width), words_line(self._view, width)]
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"scrubber--{name}", partial=True) if name else Style.null()


def column_of(view: ScrubberView, step: int, width: int) -> int:
    """The cell of the bar that stands for a step."""
    return round((step - view.first) / max(view.last - view.first, 1) * (width - 1))


def step_at(view: ScrubberView, column: int, width: int) -> int:
    """The step that a cell of the bar stands for; beyond its ends the first and the last one."""
    part = min(max(column / max(width - 1, 1), 0.0), 1.0)
    return view.first + round(part * (view.last - view.first))


def mark_signs(view: ScrubberView, marks: Marks, width: int) -> dict[int, str]:
    """The sign in each marked cell: of the first match before an event, and of that before a change."""
    signs = dict.fromkeys((column_of(view, step, width) for step in marks.changes), CHANGE)
    signs |= dict.fromkeys((column_of(view, step, width) for step in marks.events), MARK)
    if marks.first_match is not None:
        signs[column_of(view, marks.first_match, width)] = MATCH
    return signs


def bar_line(view: ScrubberView, signs: Mapping[int, str], width: int) -> Line:
    """The bar, with the position over whatever is marked there."""
    place = column_of(view, view.step, width)
    tones = {MARK: "event", MATCH: "match"}
    line: Line = []
    for column in range(width):
        plain, tone = (_PASSED, "passed") if column < place else (_TO_COME, "to-come")
        sign = POSITION if column == place else signs.get(column, plain)
        tone = "position" if column == place else tones.get(sign, tone)
        if line and line[-1][1] == tone:
            line[-1] = line[-1][0] + sign, tone
        else:
            line.append((sign, tone))
    return line


def words_line(view: ScrubberView, width: int) -> Line:
    """Whether and how fast it plays, where it stands, and, where there is room, what the marks mean."""
    state = "playing" if view.is_playing else "at the end" if view.step == view.last else "paused"
    sign = "▶" if view.is_playing else "■"
    parts = [f"{sign} {state} {view.speed}", f"step {view.step}/{view.last}"]
    if view.total_ms > 0:
        parts.append(f"{duration_text(view.elapsed_ms / 1e3)} of {duration_text(view.total_ms / 1e3)}")
    line: Line = [(" REPLAY ", "replay"), (safe_text(" " + _GAP.join(parts)), "")]
    used = sum(cell_len(text) for text, _ in line)
    room = width - used - len(_GAP)
    if room >= cell_len(_LEGEND):
        line.append((" " * (width - used - cell_len(_LEGEND)) + _LEGEND, "quiet"))
    return line
