"""The geometry of a line chart: where its lines, ticks and marks lie in a drawing of fixed size.

Nothing is drawn here; the report's template writes it down as SVG.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720.0, 250.0
"""Size of the drawing, in its own units"""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 20.0, 34.0
_MOST_POINTS = 1200
_MOST_MARK_NUMBERS = 15
_Y_TICKS, _X_TICKS = 5, 8

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """What is to be drawn as one line."""

    name: str
    points: Sequence[tuple[int, float | None]]
    """Step and value, in order; None where it is not finite: the line has a gap there."""


@dataclass(frozen=True)
class Mark:
    """A step at which something happened."""

    number: int
    """The event's number in the report's list of events."""
    step: int
    text: str


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what is written there."""

    position: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve as the data of an SVG path, and places at which it is a single point."""

    name: str
    path: str
    dots: Sequence[Point]


@dataclass(frozen=True)
class PlacedMark:
    """A mark with its place on the axis of steps."""

    position: float
    label: str
    text: str


@dataclass(frozen=True)
class Chart:
    """A line chart, ready to be written down."""

    title: str
    is_log: bool
    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    marks: Sequence[PlacedMark]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


def chart(title: str, curves: Sequence[Curve], marks: Sequence[Mark] = ()) -> Chart | None:
    """Lay out a chart; logarithmic where all values are above 0 and span more than a factor of 10.

    None: no curve has a value.
    """
    values = [value for curve in curves for _, value in curve.points if value is not None]
    if not values:
        return None
    steps = [step for curve in curves for step, _ in curve.points]
    low, high = min(values), max(values)
    is_log = low > 0 and high > 10 * low
    across = _Scale(min(steps), max(steps), _LEFT, WIDTH - _RIGHT, is_log=False)
    up = _Scale(low, high, HEIGHT - _BOTTOM, _TOP, is_log=is_log)
    return Chart(
        title,
        is_log,
        [_line(curve, across, up) for curve in curves],
        [Tick(across(value), f"{value:,.0f}") for value in _whole_ticks(across.low, across.high)],
        [Tick(up(value), _label(value)) for value in (_log_ticks if is_log else _ticks)(up.low, up.high)],
        [
            PlacedMark(
                across(mark.step), str(mark.number) if len(marks) <= _MOST_MARK_NUMBERS else "", mark.text
            )
            for mark in marks
            if across.low <= mark.step <= across.high
        ],
    )


class _Scale:
    """Maps values to positions."""

    def __init__(self, low: float, high: float, start: float, end: float, *, is_log: bool) -> None:
        if low == high:
            margin = abs(low) * 0.1 or 1.0
            low, high = low - margin, high + margin
        self.low, self.high = low, high
        self._is_log = is_log
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (
            math.log(value / self.low) / math.log(self.high / self.low)
            if self._is_log
            else (value - self.low) / (self.high - self.low)
        )
        return round(self._start + share * (self._end - self._start), 1)


def _line(curve: Curve, across: _Scale, up: _Scale) -> Line:
    stretches: list[list[Point]] = [[]]
    for step, value in _thinned(curve.points):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((across(step), up(value)))
    path = "".join(
        "M" + "L".join(f"{x:g} {y:g}" for x, y in stretch) for stretch in stretches if len(stretch) > 1
    )
    return Line(curve.name, path, [stretch[0] for stretch in stretches if len(stretch) == 1])


def _thinned(points: Sequence[tuple[int, float | None]]) -> Iterator[tuple[int, float | None]]:
    """Of each stretch of points the lowest and the highest; a gap beside them where one is missing."""
    size = math.ceil(2 * len(points) / _MOST_POINTS)
    if size <= 2:
        yield from points
        return
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        known = [(step, value) for step, value in stretch if value is not None]
        if stretch[0][1] is None:
            yield stretch[0]
        if known:
            extremes = {min(known, key=lambda point: point[1]), max(known, key=lambda point: point[1])}
            yield from sorted(extremes)
            if any(value is None and step > known[0][0] for step, value in stretch):
                yield stretch[-1][0], None


def _ticks(low: float, high: float, count: int = _Y_TICKS) -> list[float]:
    """Round numbers in a range: multiples of 1, 2 or 5 times a power of 10."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _whole_ticks(low: float, high: float) -> list[float]:
    return [value for value in _ticks(low, high, _X_TICKS) if value == round(value) and value >= 0]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of 10 in a range; with 2 and 5 times them where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = math.ceil(len(powers) / 8)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    candidates = [factor * 10.0**power for power in powers[::every] for factor in factors]
    return [value for value in candidates if low <= value <= high]


def _label(value: float) -> str:
    return f"{value:.3g}" if value else "0"
