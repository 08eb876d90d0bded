"""The plot of the full-screen chart: the one module that knows the library that draws it.

What is drawn is made small first: the library takes 3 ms for a hundred points and 300 ms for a hundred
thousand. It joins lines over what is not finite, so a curve is handed to it piece by piece.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from textual.app import RenderResult
from textual_hires_canvas import HiResMode
from textual_plot import PlotWidget
from textual_plot.axis_formatter import AxisFormatter, NumericAxisFormatter

from tui.numbers import is_constant

Numbers = NDArray[np.float64]
Span = tuple[float, float]

_LEAST_STEPS = 4.0
"""Steps that stay in view, however close one looks."""

_MARGIN = 0.04
"""Part of the height that stays free above and below the curves."""

_FAR = 4.0
"""Heights of the plot beyond its edge to which a curve is followed."""

CURVE_STYLES = (
    "plot--first",
    "plot--second",
    "plot--third",
    "plot--fourth",
    "plot--fifth",
    "plot--sixth",
    "plot--seventh",
    "plot--eighth",
)

_SIGN_EVERY = 24
"""Columns between two signs on a curve."""


@dataclass(frozen=True)
class Series:
    """One curve: steps in order and their values, None where one is not finite."""

    name: str
    steps: Sequence[float]
    values: Sequence[float | None]

    sign: str = ""
    """A letter that stands on the curve here and there; curves with signs need no legend."""

    style: int | None = None
    """Which of CURVE_STYLES it is drawn in; None: the one of its place."""


class DataPlot(PlotWidget, can_focus=False, inherit_bindings=False):
    """A plot that is blank until there is something to draw: the library's axes would go from 0 to 1."""

    has_data = False
    """Whether there has been something to draw."""

    def render(self) -> RenderResult:
        """Paint the canvases, once there is something to paint."""
        return super().render() if self.has_data else ""


class Plot(DataPlot, can_focus=False, inherit_bindings=False):
    """Curves between axes, all of them or a part."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*CURVE_STYLES, "plot--mark"}

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._series: tuple[Series, ...] = ()
        self._curve_marks: tuple[int, ...] = ()
        self._is_log = False
        self._is_whole = True
        self._until: int | None = None
        self._steps: Span | None = None
        self._values: Span | None = None
        self.set_reactive(PlotWidget.margin_top, 1)
        self.set_reactive(PlotWidget.margin_bottom, 2)

    def draw(
        self,
        series: Iterable[Series],
        marks: Iterable[int],
        *,
        is_log: bool,
        is_whole: bool = True,
        until: int | None = None,
    ) -> None:
        """Draw other curves, or more of them; what is in view stays in view.

        Args:
            series: Curves over the same steps.
            marks: Steps with a vertical line.
            is_log: Whether the scale of the values is logarithmic; those that have no logarithm are gaps.
            is_whole: Whether only whole steps are named at the axis.
            until: The step up to which the axis goes at least.
        """
        self._series, self._curve_marks = tuple(series), tuple(marks)
        if is_log != self._is_log:
            self._values = None
        self._is_log, self._is_whole, self._until = is_log, is_whole, until
        self.has_data = self.has_data or any(curve.steps for curve in self._series)
        self._draw()

    def show_all(self) -> None:
        """Show all steps, and the values between the lowest and the highest of them."""
        self._steps = self._values = None
        self._draw()

    def fit_values(self) -> None:
        """Show the values between the lowest and the highest of the steps in view."""
        self._values = None
        self._draw()

    def zoom_steps(self, factor: float) -> None:
        """Show so many times the steps, around the middle."""
        self._steps = _zoomed(self._step_span, factor, least=_LEAST_STEPS)
        self._draw()

    def zoom_values(self, factor: float) -> None:
        """Show so many times the height, around the middle."""
        self._values = _zoomed(self._value_span, factor, least=0.0)
        self._draw()

    def pan(self, *, steps: float = 0.0, values: float = 0.0) -> None:
        """Move on by parts of what is in view."""
        if steps:
            self._steps = _moved(self._step_span, steps)
        if values:
            self._values = _moved(self._value_span, values)
        self._draw()

    def on_resize(self) -> None:
        """Draw as finely as the new width allows."""
        self.call_after_refresh(self._draw)

    def on_plot_widget_scale_changed(self, event: PlotWidget.ScaleChanged) -> None:
        """The mouse has moved the axes."""
        event.stop()
        self._steps, self._values = (event.x_min, event.x_max), (event.y_min, event.y_max)
        self._draw()

    @property
    def _step_span(self) -> Span:
        ends = [step for curve in self._series if curve.steps for step in (curve.steps[0], curve.steps[-1])]
        if ends and self._until is not None:
            ends.append(self._until)
        whole = float(min(ends, default=0)), float(max(ends, default=0))
        if whole[1] == whole[0]:
            whole = whole[0], whole[0] + 1
        if self._steps is None:
            return whole
        length = min(self._steps[1] - self._steps[0], whole[1] - whole[0])
        start = min(max(self._steps[0], whole[0]), whole[1] - length)
        return start, start + length

    @property
    def _value_span(self) -> Span:
        if self._values is not None:
            return self._values
        first, last = self._step_span
        parts = [_numbers(curve, self._is_log, first, last)[1] for curve in self._series]
        known = np.concatenate([part[np.isfinite(part)] for part in parts]) if parts else np.empty(0)
        if not len(known):
            return 0.0, 1.0
        low, high = float(known.min()), float(known.max())
        wide = max(abs(high) * _MARGIN, 1e-9)
        spare = wide if is_constant(low, high) else (high - low) * _MARGIN
        return low - spare, high + spare

    def _draw(self) -> None:
        if not self.is_mounted or not self.size:
            return
        first, last = self._step_span
        low, high = self._value_span
        room = max(self.size.width - self.margin_left - 2, 1)
        self.clear()
        self.set_x_formatter(_StepAxis() if self._is_whole else NumberAxis())
        self.set_y_formatter(_LogAxis() if self._is_log else NumberAxis())
        self.set_xlimits(first, last)
        self.set_ylimits(low, high)
        signs: list[tuple[Numbers, Numbers, str, str]] = []
        for place, curve in enumerate(self._series):
            style = self._style(
                CURVE_STYLES[(place if curve.style is None else curve.style) % len(CURVE_STYLES)]
            )
            name: str | None = None if curve.sign else curve.name
            far = (high - low) * _FAR
            numbers = _numbers(curve, self._is_log, first, last)
            if curve.sign:
                shift = place / len(self._series)
                signs.append((*_sign_places(*numbers, room / _SIGN_EVERY, shift), curve.sign, style))
            for steps, values in pieces(*numbers, room):
                near = np.clip(values, low - far, high + far)
                draw = self.plot if len(steps) > 1 else self.scatter
                draw(
                    steps,
                    near,
                    **{_STYLE_OF[len(steps) > 1]: style},
                    hires_mode=HiResMode.BRAILLE,
                    label=name,
                )
                name = None
        for steps, values, sign, style in signs:  # over all curves
            self.scatter(steps, values, marker=sign, marker_style=style)
        mark = self._style("plot--mark")
        for step in self._curve_marks:
            if first <= step <= last:
                self.add_v_line(step, mark)
        self.show_legend(is_visible=len(self._series) > 1 and not signs)

    def _style(self, name: str) -> str:
        return str(self.get_component_rich_style(name, partial=True))


def pieces(steps: Numbers, values: Numbers, columns: int) -> list[tuple[Numbers, Numbers]]:
    """The stretches of a curve between what is not finite, each in few points.

    A stretch with more than four points for each column of the screen keeps the lowest and the highest of
    each column.
    """
    finite = np.isfinite(values)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(np.int8)))
    bucket = max(len(values) // (2 * columns), 1)
    return [_thinned(steps[start:end], values[start:end], bucket) for start, end in edges.reshape(-1, 2)]


def _thinned(steps: Numbers, values: Numbers, bucket: int) -> tuple[Numbers, Numbers]:
    """Lowest and highest point of each bucket, in the order of their steps."""
    whole = len(values) // bucket * bucket
    if bucket < 2 or not whole:
        return steps, values
    buckets = values[:whole].reshape(-1, bucket)
    starts = np.arange(len(buckets)) * bucket
    kept = np.stack([starts + buckets.argmin(axis=1), starts + buckets.argmax(axis=1)], axis=1)
    kept = np.concatenate([np.sort(kept, axis=1).ravel(), np.arange(whole, len(values))])
    kept = np.unique(np.concatenate([[0], kept, [len(values) - 1]]))
    return steps[kept], values[kept]


def _numbers(curve: Series, is_log: bool, first: float, last: float) -> tuple[Numbers, Numbers]:
    """Steps and values in view, and one beyond each edge, so that lines go on to it."""
    start = max(bisect_left(curve.steps, first) - 1, 0)
    end = bisect_right(curve.steps, last) + 1
    values = np.array(curve.values[start:end], dtype=np.float64)
    if is_log:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(np.where(values > 0, values, np.nan))
    return np.array(curve.steps[start:end], dtype=np.float64), values


def _sign_places(steps: Numbers, values: Numbers, count: float, shift: float) -> tuple[Numbers, Numbers]:
    """Where signs stand on a curve: evenly, and shifted so that those of several curves do not coincide."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.empty(0), np.empty(0)
    steps, values = steps[known], values[known]
    number = max(round(count), 1)
    wanted = steps[0] + (np.arange(number) + shift) / number * (steps[-1] - steps[0])
    places = np.unique(np.searchsorted(steps, wanted).clip(0, len(steps) - 1))
    return steps[places], values[places]


def _zoomed(span: Span, factor: float, *, least: float) -> Span:
    middle, half = (span[0] + span[1]) / 2, max((span[1] - span[0]) * factor, least) / 2
    return middle - half, middle + half


def _moved(span: Span, part: float) -> Span:
    distance = (span[1] - span[0]) * part
    return span[0] + distance, span[1] + distance


_STYLE_OF = {True: "line_style", False: "marker_style"}


class NumberAxis(NumericAxisFormatter):
    """Nice numbers, of which zero has no minus: the library's ticks are sums, and miss it by a hair."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """With as many decimals as tell neighbours apart."""
        labels = super().get_labels_for_ticks(ticks)
        return [label if float(label) else label.removeprefix("-") for label in labels]


class _StepAxis(NumericAxisFormatter):
    """Whole steps only."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Nice ticks that are whole."""
        return [tick for tick in super().get_ticks(min_, max_, max_ticks) if tick.is_integer()]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Without decimals."""
        return [f"{tick:z.0f}" for tick in ticks]


class _LogAxis(AxisFormatter):
    """Ticks on powers of ten, and between them where there is room; positions are decimal logarithms."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """1, 2, 5, 10, 20 …, or only some of the powers of ten, or nice values within one of them."""
        decades = range(math.floor(min_), math.ceil(max_) + 1)
        for factors in ((1, 2, 5), (1,)):
            ticks = [decade + math.log10(factor) for decade in decades for factor in factors]
            inside = [tick for tick in ticks if min_ <= tick <= max_]
            if 2 <= len(inside) <= max_ticks:
                return inside
        if max_ - min_ > 1:
            return [float(decade) for decade in decades[:: math.ceil(len(decades) / max_ticks)]]
        values = NumericAxisFormatter().get_ticks(10**min_, 10**max_, max_ticks)
        return [math.log10(value) for value in values if value > 0]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """The values themselves."""
        return [f"{10**tick:.4g}" for tick in ticks]
