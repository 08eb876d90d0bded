"""The loss of the selected run as a line over the table, one segment for each painted line."""

import math
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.loss_curve import LossCurve
from tui.numbers import loss_text
from tui.sparkline import Range, braille_lines

_GUTTER = 11
"""Cells on the left for the values at the upper and lower edge."""

_LOG_FROM = 8.0
"""Highest over lowest loss from which the scale is logarithmic: the end of a descent stays visible."""


class LossStrip(Widget):
    """A curve from the first step to the last, over the width that all steps of the run will take."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"strip--curve", "strip--scale"}

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._curve = LossCurve()
        self._fraction = 1.0
        self._lines: list[tuple[str, str]] = []

    def show(self, curve: LossCurve, fraction: float) -> None:
        """Draw a curve, which covers this fraction of the run's steps."""
        self._curve, self._fraction = curve, min(max(fraction, 0.0), 1.0)
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._draw()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        scale, curve = self._lines[y]
        segments = [Segment(scale, self._tone("scale")), Segment(curve, self._tone("curve"))]
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)

    def _draw(self) -> None:
        size = self.content_size
        lines = strip_lines(self._curve, self._fraction, size.width, size.height)
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"strip--{name}", partial=True)


def strip_lines(curve: LossCurve, fraction: float, width: int, height: int) -> list[tuple[str, str]]:
    """Scale and curve of each line; nothing where there is no room or no loss.

    Args:
        curve: What to draw.
        fraction: Part of the width that it takes, 0 to 1.
        width: Cells a line, scale included.
        height: Lines.
    """
    span = curve.span
    room = width - _GUTTER
    if span is None or room < 1 or height < 2:
        return []
    is_log = span[0] > 0 and span[1] / span[0] >= _LOG_FROM
    edges = [""] * height
    edges[0], edges[-1] = loss_text(span[1]), loss_text(span[0])
    if height > 2:
        edges[height // 2] = "log loss" if is_log else "loss"
    ranges: list[Range | None] = list(curve.ranges)
    if is_log:
        ranges = [bucket and (math.log(bucket[0]), math.log(bucket[1])) for bucket in ranges]
        span = math.log(span[0]), math.log(span[1])
    drawn = braille_lines(ranges, max(round(room * fraction), 1), height, span)
    return [(edge.rjust(_GUTTER - 1) + " ", line) for edge, line in zip(edges, drawn, strict=True)]
