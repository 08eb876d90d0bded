"""The numbers of a whole trajectory as curves, in a bounded number of buckets, however long it gets."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from engine.measures import MEASURES
from engine.store.records import EventRecord, StepRecord
from tui.circle import following
from tui.event_text import is_only_noted
from tui.sparkline import Range, between

MAX_BUCKETS = 512

MARKED = frozenset({"lr", "weight", "paused", "resumed", "extended", "break-point"})
"""Kinds of events that a chart shows: where the user changed something, or the run waited."""

_EMPTY: Range = (math.inf, -math.inf)
"""A bucket without a value yet; joined with a range it is that range."""


@dataclass(frozen=True)
class Chart:
    """What a chart can show."""

    name: str
    """As it is kept between two sessions."""
    title: str
    """What stands beside it."""
    measure: str | None = None
    """The measure of decoded rows that it shows; None: a figure that every row has."""

    LOSS: ClassVar["Chart"]
    TERMS: ClassVar["Chart"]
    SIMILARITY: ClassVar["Chart"]
    LR: ClassVar["Chart"]
    GRAD_NORM: ClassVar["Chart"]
    Z_NORM: ClassVar["Chart"]

    def __str__(self) -> str:
        return self.title

    def after(self, measures: Collection[str]) -> "Chart":
        """The next one of the cycle, in which only the measures that there are have charts."""
        there = [
            chart for chart in CHARTS if chart.measure is None or chart.measure in measures or chart == self
        ]
        return following(there, self)


Chart.LOSS = Chart("LOSS", "loss")
Chart.TERMS = Chart("TERMS", "terms")
Chart.SIMILARITY = Chart("SIMILARITY", "sim")
Chart.LR = Chart("LR", "lr")
Chart.GRAD_NORM = Chart("GRAD_NORM", "|grad|")
Chart.Z_NORM = Chart("Z_NORM", "|z|")

FIGURES = (Chart.LOSS, Chart.TERMS, Chart.SIMILARITY, Chart.LR, Chart.GRAD_NORM, Chart.Z_NORM)
"""Charts of what every row has."""

CHARTS = (*FIGURES, *(Chart(name, measure.title, name) for name, measure in MEASURES.items()))
"""All charts in the order of the cycle: each measure has its own."""


def chart_named(name: str) -> Chart:
    """The chart of a name; that of the loss where there is none."""
    return next((chart for chart in CHARTS if chart.name == name), Chart.LOSS)


def values_of(chart: Chart, steps: Sequence[StepRecord]) -> dict[str, list[float | None]]:
    """The series of a chart over some rows, by name; None where a value is not there or not finite."""
    if chart == Chart.TERMS:
        names = dict.fromkeys(name for step in (steps[:1], steps[-1:]) for row in step for name in row.terms)
        return {name: [step.terms.get(name) for step in steps] for name in names}
    if chart == Chart.LOSS:
        return {chart.title: [step.loss for step in steps]}
    if chart == Chart.SIMILARITY:
        return {chart.title: [step.similarity for step in steps]}
    if chart == Chart.LR:
        rates = [step.lr for step in steps]
        # No update is made from the last row of a run, so that it has none: that is no gap.
        return {chart.title: rates[:-1] if rates and rates[-1] is None else rates}
    if chart == Chart.GRAD_NORM:
        return {chart.title: [step.grad_norm for step in steps]}
    return {chart.title: [step.z_norm for step in steps]}


def is_marked(event: EventRecord) -> bool:
    """Whether a chart has a vertical line where an event happened."""
    return event.step is not None and event.kind in MARKED and not is_only_noted(event)


@dataclass(frozen=True)
class Charted:
    """What there is to draw of a run."""

    title: str
    last_step: int | None
    """Rows beyond it are not drawn; None: there are none."""
    marks: Collection[int]
    """Steps at which something was changed."""
    until: int | None = None
    """The last step that was recorded, up to which the axis goes, where fewer are drawn; None: none is."""


class Curves:
    """Lowest and highest values of equal stretches of steps, and where something was changed.

    Rows may come in any order of chunks; a chunk costs the same at any length of the trajectory.
    """

    def __init__(self) -> None:
        self.steps_per_bucket = 1
        self.last_step: int | None = None
        """The newest step that has been added."""
        self.marks: set[int] = set()
        """Steps at which something was changed."""
        self._charts: dict[Chart, dict[str, list[Range | None]]] = {chart: {} for chart in CHARTS}

    def extend(self, steps: Sequence[StepRecord]) -> None:
        """Add rows, in order."""
        if not steps:
            return
        first, last = steps[0].step, steps[-1].step
        if last - first + 1 != len(steps):  # a published table has only some of its rows
            for step in steps:
                self.extend((step,))
            return
        while last // self.steps_per_bucket >= MAX_BUCKETS:
            self._halve()
        if self.last_step is None or last > self.last_step:
            self.last_step = last
        for chart in FIGURES:
            for name, values in values_of(chart, steps).items():
                self._add(self._charts[chart].setdefault(name, []), first, values)
        for step in steps:
            if step.measures:
                self._add_measures(step)

    @property
    def measures(self) -> Collection[str]:
        """Names of what was measured of any of the rows."""
        return {chart.measure for chart in CHARTS if chart.measure is not None and self._charts[chart]}

    def mark(self, events: Iterable[EventRecord]) -> None:
        """Note where something was changed."""
        self.marks.update(event.step for event in events if event.step is not None and is_marked(event))

    def ranges(self, chart: Chart) -> Mapping[str, Sequence[Range | None]]:
        """The curves of a chart by name, each as its buckets from the first step to the last.

        One is None when any of its values is not finite, for what is rare is what is looked for. Over steps
        that have no row the curve goes straight on.
        """
        if self.last_step is None:
            return {}
        count = self.last_step // self.steps_per_bucket + 1
        return {
            name: _bridged(buckets) + [None] * (count - len(buckets))
            for name, buckets in self._charts[chart].items()
        }

    def bucket_start(self, step: int) -> int:
        """The first step of the bucket that a step is in."""
        return step - step % self.steps_per_bucket

    def up_to(self, rows: Sequence[StepRecord]) -> "Curves":
        """These curves as they would be if they ended with the last of some rows.

        Args:
            rows: All rows of the bucket that is the last then, up to where the curves end; at least one.
        """
        curves = Curves()
        curves.steps_per_bucket = self.steps_per_bucket
        buckets, last = rows[0].step // self.steps_per_bucket, rows[-1].step
        for chart, series in self._charts.items():
            parts = {name: all_buckets[:buckets] for name, all_buckets in series.items()}
            curves._charts[chart] = {
                name: part for name, part in parts.items() if any(bucket != _EMPTY for bucket in part)
            }
        curves.marks = {mark for mark in self.marks if mark <= last}
        curves.extend(rows)
        return curves

    def _add_measures(self, step: StepRecord) -> None:
        """Add what is measured of a decoded row; between two of them a curve goes straight on."""
        for chart in CHARTS:
            curves = self._charts[chart]
            if chart.measure is not None and (chart.measure in step.measures or curves):
                value = step.measures.get(chart.measure)
                self._add(curves.setdefault(chart.title, []), step.step, [value])

    def _add(self, buckets: list[Range | None], first: int, values: Sequence[float | None]) -> None:
        size = self.steps_per_bucket
        start = 0
        while start < len(values):
            index, within = divmod(first + start, size)
            end = min(start + size - within, len(values))
            buckets.extend([_EMPTY] * (index + 1 - len(buckets)))
            buckets[index] = _joined(buckets[index], _range(values[start:end]))
            start = end

    def _halve(self) -> None:
        self.steps_per_bucket *= 2
        for curves in self._charts.values():
            for name, buckets in curves.items():
                firsts, seconds = buckets[::2], buckets[1::2]
                seconds += [_EMPTY] * (len(firsts) - len(seconds))
                curves[name] = [_joined(first, second) for first, second in zip(firsts, seconds, strict=True)]


def _range(values: Sequence[float | None]) -> Range | None:
    """Lowest and highest of values; None when one is not finite."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not math.isfinite(sum(known)):
        return None
    return min(known), max(known)


def _joined(first: Range | None, second: Range | None) -> Range | None:
    if first is None or second is None:
        return None
    return min(first[0], second[0]), max(first[1], second[1])


def _bridged(buckets: list[Range | None]) -> list[Range | None]:
    """Buckets in which those without a row lie on a straight line between their neighbours."""
    if _EMPTY not in buckets:
        return list(buckets)
    bridged: list[Range | None] = [None if bucket == _EMPTY else bucket for bucket in buckets]
    filled = [place for place, bucket in enumerate(buckets) if bucket != _EMPTY]
    for before, after in pairwise(filled):
        first, second = buckets[before], buckets[after]
        if first is not None and second is not None:
            for place in range(before + 1, after):
                bridged[place] = between(first, second, (place - before) / (after - before))
    return bridged
