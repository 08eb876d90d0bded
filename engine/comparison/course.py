"""The numbers of a run, row by row, as they are needed for a chart; read once and then only what is new."""

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, compress
from typing import Any

from engine.store.reading import Reader

FIGURES = ("loss", "similarity", "lr", "grad_norm", "z_norm")
"""What every row has; the loss terms come after them under their own names."""


class Course:
    """Steps of a run with the time spent up to each, its figures, and where it was decoded."""

    def __init__(self, run: int) -> None:
        self.run = run
        self._start_anew()
        self._last_event = 0

    def _start_anew(self) -> None:
        self.steps = array("q")
        self.seconds = array("d")
        """Time spent on the updates before each row: the sum of their `elapsed_ms`, in seconds.

        Waiting, loading and pauses are not in it. Infinite where a row before it has no time.
        """
        self.figures: dict[str, array[float]] = {name: array("d") for name in FIGURES}
        """Values by FIGURES and the names of loss terms; not finite where one is not there."""
        self.decoded_steps = array("q")
        """Steps whose prediction was decoded."""
        self.measured_rows = array("q")
        """Indexes of the rows of which something was measured."""
        self.measures: dict[str, array[float]] = {}
        """What was measured of those rows, by the names of measures; not finite where one is not there."""
        self.first_match: int | None = None
        """The first step whose decoded prediction is the target."""
        self._next_seconds = 0.0

    def update(self, reader: Reader) -> bool:
        """Read what is new, and say whether anything is.

        The last row is read again: an update may have been made from it since. Where the run went back to
        a checkpoint, everything is.
        """
        before = self._state
        events = reader.events(self.run, after=self._last_event)
        if events:
            self._last_event = events[-1].id
            if self.steps and any(event.kind == "remade" for event in events):
                self._start_anew()
        self._drop_last()
        after = self.steps[-1] if self.steps else -1
        while True:
            rows, terms = reader.figures(self.run, after=after)
            if not rows:
                return self._state != before
            self._extend(rows, terms)
            after = self.steps[-1]

    def _extend(
        self, rows: Sequence[tuple[Any, ...]], all_terms: Sequence[Mapping[str, float | None]]
    ) -> None:
        """Add rows of `Reader.figures`."""
        count = len(self.steps)
        steps, *columns, elapsed_ms, is_decoded, match, measured, _ = zip(*rows, strict=True)
        self.steps.extend(steps)
        for name, values in zip(FIGURES, columns, strict=True):
            self.figures[name].extend(values)
        *seconds, self._next_seconds = accumulate(
            (milliseconds / 1000 for milliseconds in elapsed_ms), initial=self._next_seconds
        )
        self.seconds.extend(seconds)
        for name in dict.fromkeys(chain.from_iterable(all_terms)):
            if name not in self.figures:
                self.figures[name] = array("d", [math.inf]) * count
        for name in self.figures.keys() - set(FIGURES):
            given = [terms.get(name) for terms in all_terms]
            self.figures[name].extend([math.inf if value is None else value for value in given])
        self.decoded_steps.extend(compress(steps, is_decoded))
        for row, stored in enumerate(measured, count):
            if stored:
                self._add_measures(row, json.loads(stored))
        if self.first_match is None and 1 in match:
            self.first_match = steps[match.index(1)]

    def curve(self, figure: str) -> tuple[Sequence[int], Sequence[float]]:
        """Indexes of the rows that have a figure or a measure, and its values there."""
        if figure in self.measures:
            return self.measured_rows, self.measures[figure]
        values = self.figures.get(figure, array("d"))
        return range(len(values)), values

    def _add_measures(self, row: int, values: Mapping[str, float | None]) -> None:
        for name in values:
            if name not in self.measures:
                self.measures[name] = array("d", [math.inf]) * len(self.measured_rows)
        for name, column in self.measures.items():
            value = values.get(name)
            column.append(math.inf if value is None else value)
        self.measured_rows.append(row)

    @property
    def _state(self) -> tuple[object, ...]:
        lr = self.figures["lr"]
        return len(self.steps), self.first_match, len(self.decoded_steps), bool(lr) and math.isfinite(lr[-1])

    def _drop_last(self) -> None:
        if not self.steps:
            return
        step = self.steps.pop()
        self._next_seconds = self.seconds.pop()
        for values in self.figures.values():
            values.pop()
        if self.decoded_steps and self.decoded_steps[-1] == step:
            self.decoded_steps.pop()
        if self.measured_rows and self.measured_rows[-1] == len(self.steps):
            self.measured_rows.pop()
            for values in self.measures.values():
                values.pop()
        if self.first_match == step:
            self.first_match = None
