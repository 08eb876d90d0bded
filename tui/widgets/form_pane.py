"""The fields of a form, painted line by line: a form of forty lines opens as fast as one of four."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import Place, bindings
from tui.text import fit_text, safe_text

_GAP = 2
"""Cells between a value and its note."""

_AHEAD = 2
"""Lines that are kept in view beyond the current field."""


@dataclass(frozen=True)
class FormLine:
    """One line of a form: a title, a field, or what stands under a field."""

    key: str = ""
    """The field that it belongs to; empty for a title."""

    label: str = ""
    value: str = ""
    note: str = ""
    width: int = 0
    """Cells of the value; 0: all that there are, and the note stands where the value would."""

    is_choice: bool = False
    is_current: bool = False
    is_wrong: bool = False


class FormPane(ScrollView, can_focus=True, inherit_bindings=False):
    """Paints the lines. It has the focus while the current field is a choice."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "form--title",
        "form--label",
        "form--current",
        "form--note",
        "form--wrong",
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.CHOICE)

    class Turned(Message):
        """Another value of the current choice is wanted: so many places further."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Clicked(Message):
        """A field was pointed at."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Scrolled(Message):
        """Other lines are in view."""

    def __init__(self, label_cells: int) -> None:
        """A pane whose labels have so many cells, of which the last stays empty."""
        super().__init__()
        self._label_cells = label_cells
        self._lines: tuple[FormLine, ...] = ()

    def show(self, lines: Sequence[FormLine]) -> None:
        """Show these lines; those that are as before are not painted again."""
        before, self._lines = self._lines, tuple(lines)
        if len(before) != len(self._lines):
            self.virtual_size = Size(self.size.width, len(self._lines))
            self.refresh()
            return
        for index, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new:
                self.refresh(Region(0, index - round(self.scroll_y), self.size.width, 1))

    def value_region(self, key: str) -> Region:
        """Where the value of a field stands, within the pane; may be out of view."""
        index = next(index for index, line in enumerate(self._lines) if line.key == key)
        room = max(self.scrollable_content_region.width - self._label_cells, 1)
        width = min(self._lines[index].width or room, room)
        return Region(self._label_cells, index - round(self.scroll_y), width, 1)

    def note_room(self, key: str) -> int:
        """Cells that there are for the note of a field."""
        room = self.scrollable_content_region.width - self._label_cells
        width = next(line.width for line in self._lines if line.key == key)
        return max(room - width - _GAP if width else room, 0)

    def bring_into_view(self, key: str) -> None:
        """Scroll so that a field is seen with its note, the title over it, and a little of what follows."""
        if not self.size.height:
            return  # it has no place on the screen yet
        places = [index for index, line in enumerate(self._lines) if line.key == key]
        first, last = max(places[0] - 1, 0), min(places[-1] + _AHEAD, len(self._lines) - 1)
        top, height = round(self.scroll_y), self.size.height
        if first < top:
            self.scroll_to(y=first, animate=False, force=True)
        elif last >= top + height:
            self.scroll_to(y=last - height + 1, animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.scrollable_content_region.width
        index = y + round(self.scroll_y)
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[index]
        segments = self._field(line, width) if line.key else self._title(line, width)
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style).simplify()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say so: the editor stands over one of the lines."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled())

    def on_click(self, event: Click) -> None:
        """Go to the field under the pointer."""
        offset = event.get_content_offset(self)
        index = -1 if offset is None else offset.y + round(self.scroll_y)
        if 0 <= index < len(self._lines) and self._lines[index].key:
            self.post_message(self.Clicked(self._lines[index].key))

    def action_previous_choice(self) -> None:
        """Take the value before."""
        self.post_message(self.Turned(-1))

    def action_next_choice(self) -> None:
        """Take the next value."""
        self.post_message(self.Turned(1))

    def _title(self, line: FormLine, width: int) -> list[Segment]:
        text = safe_text(line.label, limit=width)
        return [Segment(text, self._tone("title"))]

    def _field(self, line: FormLine, width: int) -> list[Segment]:
        wrong = self._tone("wrong")
        name = fit_text(line.label, self._label_cells - 1) + " "
        label = Segment(name, wrong if line.is_wrong else self._tone("label"))
        note = wrong if line.is_wrong else self._tone("note")
        room = max(width - self._label_cells, 0)
        if not line.width:
            text, style = (line.note, note) if line.note else (line.value, Style.null())
            return [label, Segment(fit_text(text, room), style)]
        cells = min(line.width, room)
        value = f"‹ {safe_text(line.value, limit=max(cells - 4, 0))} ›" if line.is_choice else line.value
        style = self._tone("current") if line.is_current and line.is_choice else Style.null()
        return [
            label,
            Segment(fit_text(value, cells), style),
            Segment(" " * _GAP),
            Segment(safe_text(line.note, limit=max(room - cells - _GAP, 0)), note),
        ]

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"form--{name}", partial=True)
