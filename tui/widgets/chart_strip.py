"""The numbers of the selected run as curves over the table, one segment for each painted line of a curve."""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.curves import Chart, Curves
from tui.numbers import is_constant, loss_text, lr_text, norm_text, similarity_text
from tui.sparkline import Range, braille_lines
from tui.text import safe_text
from tui.widgets.columns import term_title

Line = list[tuple[str, str]]
"""Texts of a painted line with their tones."""

MARK = "┊"

_GUTTER = 11
"""Cells on the left for the values at the upper and lower edge."""

_MIN_PANEL = 2 * _GUTTER
"""Cells that a curve takes when there are several side by side; those that have no room are left out."""

_LOG_FROM = 8.0
"""Highest over lowest value from which the scale is logarithmic: the end of a descent stays visible."""

_VALUE_TEXTS = {
    Chart.SIMILARITY: similarity_text,
    Chart.LR: lr_text,
    Chart.Z_NORM: norm_text,
}


class ChartStrip(Widget):
    """Curves from the first step to the last, over the width that all steps of the run will take."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"strip--curve", "strip--scale"}

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.chart = Chart.LOSS
        """What is drawn."""

        self.is_log: bool | None = None
        """Whether the scale is logarithmic; None: where the values call for it."""

        self._curves = Curves()
        self._steps = 0
        self._lines: list[Line] = []

    def show(self, curves: Curves, steps: int) -> None:
        """Draw the curves of a run that will have made so many steps."""
        self._curves, self._steps = curves, steps
        self._draw()

    def choose(self, chart: Chart, *, is_log: bool | None) -> None:
        """Draw something else, or on another scale."""
        self.chart, self.is_log = chart, is_log
        self._draw()

    def show_next(self) -> None:
        """Draw the next chart; where there is little height, come forward first and hide after the last."""
        if not self.display:
            self.add_class("-asked")
            return
        chart = self.following
        self.set_class(chart != Chart.LOSS, "-asked")
        self.choose(chart, is_log=None)

    @property
    def following(self) -> Chart:
        """The next chart of the cycle."""
        return self.chart.after(self._curves.measures)

    def toggle_log(self) -> None:
        """Change the scale from what it is now."""
        ranges = self._curves.ranges(self.chart).values()
        self.choose(self.chart, is_log=not any(scaled(curve, self.is_log)[1] for curve in ranges))

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._draw()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        segments = [Segment(text, self._tone(tone)) for text, tone in self._lines[y]]
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)

    def _draw(self) -> None:
        if not (size := self.content_size):
            return
        lines = strip_lines(
            self._curves, self.chart, self._steps, size.width, size.height, is_log=self.is_log
        )
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def _tone(self, name: str) -> Style:
        return self.get_component_rich_style(f"strip--{name}", partial=True)


def strip_lines(
    curves: Curves, chart: Chart, steps: int, width: int, height: int, *, is_log: bool | None = None
) -> list[Line]:
    """Scale and curve of each line, for several curves side by side; nothing where there is no room.

    Args:
        curves: What to draw from.
        chart: What to draw.
        steps: Steps for which there is room to the right.
        width: Cells a line, scales included.
        height: Lines.
        is_log: Whether the scale is logarithmic; None: where the values call for it.
    """
    series = list(curves.ranges(chart).items())[: max(width // _MIN_PANEL, 1)]
    last = curves.last_step
    if last is None or width <= _GUTTER or height < 2:
        return []
    if not any(bucket for _, ranges in series for bucket in ranges):
        said = f"{'':{_GUTTER}}no finite value of {chart} has been recorded"
        return [
            [(safe_text(said, limit=width) if line == height // 2 else "", "scale")] for line in range(height)
        ]
    lines: list[Line] = [[] for _ in range(height)]
    for place, (key, ranges) in enumerate(series):
        name = term_title(key) if chart == Chart.TERMS else key
        panel = (place + 1) * width // len(series) - place * width // len(series)
        room = panel - _GUTTER
        drawn, scale = _curve(chart, name, ranges, room, height, last, steps, is_log)
        columns = _columns(curves.marks, curves.steps_per_bucket, len(ranges), _used(room, last, steps), room)
        for line, edge, cells in zip(lines, scale, drawn, strict=True):
            line += [(edge.rjust(_GUTTER - 1) + " ", "scale"), (_marked(cells.ljust(room), columns), "curve")]
    return lines


def scaled(ranges: Iterable[Range | None], is_log: bool | None) -> tuple[list[Range | None], bool]:
    """A curve on its scale, and whether that is logarithmic; values that a logarithm has none for are gaps.

    Args:
        ranges: Lowest and highest values of its buckets.
        is_log: The wanted scale; None: logarithmic where the values are far apart.
    """
    known = [bucket for bucket in ranges if bucket is not None]
    if is_log is None and known:
        low, high = min(low for low, _ in known), max(high for _, high in known)
        is_log = low > 0 and high / low >= _LOG_FROM
    if not is_log:
        return list(ranges), False
    least = min((value for bucket in known for value in bucket if value > 0), default=1.0)
    return [
        None if bucket is None or bucket[1] <= 0 else (math.log(max(bucket[0], least)), math.log(bucket[1]))
        for bucket in ranges
    ], True


def _curve(
    chart: Chart,
    name: str,
    ranges: Sequence[Range | None],
    room: int,
    height: int,
    last: int,
    steps: int,
    is_log: bool | None,
) -> tuple[list[str], list[str]]:
    """Lines of braille, and what stands to their left."""
    on_scale, is_log = scaled(ranges, is_log)
    known = [bucket for bucket in on_scale if bucket is not None]
    edges = [""] * height
    if height > 2:
        edges[height // 2] = safe_text(f"log {name}" if is_log else name, limit=_GUTTER - 1)
        if is_log and cell_len(name) > _GUTTER - 5 and height > 3:
            edges[height // 2 - 1 : height // 2 + 1] = ["log", safe_text(name, limit=_GUTTER - 1)]
    if not known:
        return [""] * height, edges
    span = min(low for low, _ in known), max(high for _, high in known)
    if is_constant(*span):
        on_scale = [bucket and (span[0], span[0]) for bucket in on_scale]
        span = span[0], span[0]
    value_text = _VALUE_TEXTS.get(chart, loss_text)
    edges[0], edges[-1] = (value_text(math.exp(value) if is_log else value) for value in reversed(span))
    return braille_lines(on_scale, _used(room, last, steps), height, span), edges


def _used(room: int, last: int, steps: int) -> int:
    """Cells that the steps made so far take of those for all steps."""
    return max(round(room * min((last + 1) / (max(steps, last) + 1), 1.0)), 1)


def _columns(marks: Collection[int], steps_per_bucket: int, buckets: int, used: int, room: int) -> set[int]:
    """Cells of a curve at which something was changed."""
    dots = 2 * used
    is_a_line = 1 < buckets < dots  # from the first bucket's dot to the last one's
    dots_per_bucket = (dots - 1) / (buckets - 1) if is_a_line else dots / buckets
    return {min(int(step / steps_per_bucket * dots_per_bucket) // 2, room - 1) for step in marks}


def _marked(cells: str, columns: Collection[int]) -> str:
    if not columns:
        return cells
    return "".join(MARK if cell == " " and column in columns else cell for column, cell in enumerate(cells))
