"""Which letter and colour each of the compared runs has, and how it stands; painted line by line."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from engine.comparison.choice import LETTERS
from engine.store.records import RunRecord
from tui.compared_lines import run_title
from tui.numbers import MISSING, NOT_FINITE, loss_text
from tui.widgets.badges import STATUS_BADGES, match_sign
from tui.wrapping import Line, flowed

_TONES = tuple(f"legend--{letter.lower()}" for letter in LETTERS)
_LEAST_CELLS = 36
"""Cells that a run takes at least, its figures included."""

_FIGURES_CELLS = 16
_GAP = 3


class RunLegend(Widget):
    """As many runs in a line as there is room for."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(_TONES)

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._runs: tuple[RunRecord, ...] = ()
        self._lines: list[Line] = []

    def show(self, runs: Sequence[RunRecord]) -> None:
        """Show how these runs stand now."""
        self._runs = tuple(runs)
        self._fit()

    def on_resize(self) -> None:
        """Fit the runs to the new width."""
        self._fit()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        line = self._lines[y] if y < len(self._lines) else []
        segments = [
            Segment(text, self.get_component_rich_style(tone, partial=True) if tone else None)
            for text, tone in line
        ]
        return Strip(segments).adjust_cell_length(self.content_size.width).apply_style(self.rich_style)

    def _fit(self) -> None:
        if not (width := self.content_size.width):
            return
        columns = max(min(width // _LEAST_CELLS, len(self._runs)), 1)
        room = (width + _GAP) // columns - _GAP - _FIGURES_CELLS
        items = [
            _item(tone, letter, run, room)
            for tone, letter, run in zip(_TONES, LETTERS, self._runs, strict=False)
        ]
        lines = flowed(items, width, _GAP)
        if lines != self._lines:
            if len(lines) != len(self._lines):
                self.styles.height = len(lines)
            self._lines = lines
            self.refresh()


def _item(tone: str, letter: str, run: RunRecord, width: int) -> Line:
    loss = MISSING if run.last_step is None else NOT_FINITE if run.loss is None else loss_text(run.loss)
    title = run_title(run, width)
    sign = STATUS_BADGES[run.status].sign
    return [(letter, tone), (f" {title} {sign} {loss} {match_sign(run.match)}".rstrip(), "")]
