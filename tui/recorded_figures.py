"""The numbers of a recorded run, and what it decoded to, in a tenth of the memory of its rows."""

from array import array
from collections.abc import Mapping, Sequence
from math import nan

from engine.store.records import NOTHING, StepRecord

_FIGURES = ("loss", "similarity", "grad_norm", "z_norm", "lr", "elapsed_ms")


class RecordedFigures:
    """A position is the index of a step among the steps."""

    def __init__(self) -> None:
        self._run = 0
        self._steps = array("q")
        self._figures = {name: array("d") for name in _FIGURES}
        """Not a number where there is none; so in the terms."""
        self._terms: dict[str, array[float]] = {}
        self.decoded = array("q")
        """Positions that were decoded, ascending."""
        self._measures: dict[int, Mapping[str, float | None]] = {}
        """What was measured, by position."""
        self._matches = bytearray()
        self._texts: list[str] = []
        """What they decoded to; equal texts are one object."""
        self._known: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def extend(self, steps: Sequence[StepRecord]) -> None:
        """Add rows, in order."""
        for position, step in enumerate(steps, len(self._steps)):
            if step.measures:
                self._measures[position] = step.measures
            if step.decoded_prediction is not None:
                self.decoded.append(position)
                self._matches.append(bool(step.match))
                self._texts.append(self._known.setdefault(step.decoded_prediction, step.decoded_prediction))
        for name in {name for step in steps for name in step.terms} - self._terms.keys():
            self._terms[name] = array("d", [nan]) * len(self._steps)
        for name, values in self._terms.items():
            values.extend(_number(step.terms.get(name)) for step in steps)
        for name, values in self._figures.items():
            values.extend(_number(getattr(step, name)) for step in steps)
        self._steps.extend(step.step for step in steps)
        self._run = steps[0].run if steps else self._run

    def row(self, position: int) -> StepRecord:
        """The numbers of a row, without its texts."""
        figures = {name: _value(values[position]) for name, values in self._figures.items()}
        return StepRecord(
            run=self._run,
            step=self._steps[position],
            loss=figures["loss"],
            terms={name: _value(values[position]) for name, values in self._terms.items()},
            similarity=figures["similarity"],
            grad_norm=figures["grad_norm"],
            z_norm=figures["z_norm"],
            lr=figures["lr"],
            elapsed_ms=figures["elapsed_ms"],
            decoded_z=None,
            decoded_prediction=None,
            match=None,
            state_hash=None,
            measures=self._measures.get(position, NOTHING),
        )

    def prediction(self, place: int) -> tuple[str, bool]:
        """What the step at a place among `decoded` decoded to, and whether that is the target."""
        return self._texts[place], bool(self._matches[place])

    def changes(self) -> list[int]:
        """Positions at which the prediction decodes to something else than before, ascending."""
        return [
            self.decoded[place]
            for place in range(1, len(self._texts))
            if self._texts[place] != self._texts[place - 1]
        ]

    @property
    def first_match(self) -> int | None:
        """The first position whose decoded prediction is the target."""
        place = self._matches.find(1)
        return None if place < 0 else self.decoded[place]

    @property
    def elapsed_ms(self) -> "array[float]":
        """Recorded milliseconds of each row; 0 where there are none."""
        return array("d", [0.0 if value != value else value for value in self._figures["elapsed_ms"]])


def _number(value: float | None) -> float:
    return nan if value is None else value


def _value(number: float) -> float | None:
    return None if number != number else number
