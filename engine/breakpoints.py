"""Break-points: the conditions under which a run pauses right after a row.

    changed            the decoded prediction differs from the previous decoded one
    match              the decoded prediction matches the target, and the previous decoded one did not
    not-finite         the loss, its gradient's norm, the similarity or a term has stopped being finite
    loss<0.2, ce>4     a number of the row has passed a bound

Each is met by the row in which it becomes true, not by those after it in which it still is: a run that goes
on from a break-point does not run into it again.
"""

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from engine.errors import UserError
from engine.objective import TERMS
from engine.store.records import StepRecord

BOUNDED = ("loss", "similarity", "grad_norm", "z_norm", *TERMS)
"""What may be bounded: numbers of a row, and the loss terms by their names."""

ALLOWED = f"changed, match, not-finite, NAME<NUMBER, NAME>NUMBER; NAME is one of {', '.join(BOUNDED)}"
"""The conditions, in one line for people."""

_BOUND = re.compile(r"\s*(\w+)\s*([<>])\s*(\S+)\s*")
_WATCHED = ("loss", "grad_norm", "similarity", *TERMS)
"""The numbers whose finiteness is watched."""


class Condition(ABC):
    """When a run pauses. `str` gives the canonical text, which `parse_condition` reads."""

    @abstractmethod
    def is_met(self, before: StepRecord | None, row: StepRecord, decoded_before: str | None) -> bool:
        """Whether the run pauses after this row.

        Args:
            before: the row before it; None for the first.
            row: the row; a number that is not finite may be NaN, infinite or None.
            decoded_before: the newest decoded prediction before it; None when there is none.
        """

    def describe(self, row: StepRecord) -> str:
        """A row that met the condition, in one line for people: `loss<0.2: 0.1987 at step 34`."""
        return f"{self} at step {row.step}"


@dataclass(frozen=True)
class Changed(Condition):
    """The decoded prediction is another one."""

    def __str__(self) -> str:
        return "changed"

    def is_met(self, before: StepRecord | None, row: StepRecord, decoded_before: str | None) -> bool:
        return None not in (row.decoded_prediction, decoded_before) and (
            row.decoded_prediction != decoded_before
        )


@dataclass(frozen=True)
class Match(Condition):
    """The decoded prediction has become the target."""

    def __str__(self) -> str:
        return "match"

    def is_met(self, before: StepRecord | None, row: StepRecord, decoded_before: str | None) -> bool:
        # Outer white space aside, all texts that match are the same text.
        is_as_before = (decoded_before or "").strip() == (row.decoded_prediction or "").strip()
        return bool(row.match) and not is_as_before


@dataclass(frozen=True)
class NotFinite(Condition):
    """A number has stopped being finite."""

    def __str__(self) -> str:
        return "not-finite"

    def is_met(self, before: StepRecord | None, row: StepRecord, decoded_before: str | None) -> bool:
        return bool(_not_finite(row) - (_not_finite(before) if before is not None else set()))

    def describe(self, row: StepRecord) -> str:
        names = ", ".join(name for name in _WATCHED if name in _not_finite(row))
        return f"{self}: {names} at step {row.step}"


@dataclass(frozen=True)
class Bound(Condition):
    """A number has passed a bound."""

    name: str
    """One of BOUNDED."""

    sign: str
    """`<` or `>`"""

    value: float

    def __str__(self) -> str:
        is_whole = self.value.is_integer() and abs(self.value) < 1e15
        return f"{self.name}{self.sign}{int(self.value) if is_whole else self.value!r}"

    def is_met(self, before: StepRecord | None, row: StepRecord, decoded_before: str | None) -> bool:
        return self._holds(row) and not (before is not None and self._holds(before))

    def describe(self, row: StepRecord) -> str:
        return f"{self}: {_number(row, self.name):z.4g} at step {row.step}"

    def _holds(self, row: StepRecord) -> bool:
        number = _number(row, self.name)
        if number is None:
            return False
        return number < self.value if self.sign == "<" else number > self.value


def parse_condition(text: str) -> Condition:
    """Read a condition as people write it.

    Raises:
        UserError: it is none; the line says what is allowed.
    """
    for condition in (Changed(), Match(), NotFinite()):
        if text.strip() == str(condition):
            return condition
    if (found := _BOUND.fullmatch(text)) and found[1] in BOUNDED:
        try:
            value = float(found[3])
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return Bound(found[1], found[2], value)
    shown = repr(text) if len(text) <= 40 else f"{text[:37]!r}..."
    raise UserError(f"break-point: {shown}: allowed are {ALLOWED}")


def _number(row: StepRecord, name: str) -> float | None:
    number: float | None = row.terms.get(name) if name in TERMS else getattr(row, name)
    return number


def _not_finite(row: StepRecord) -> set[str]:
    """The watched numbers that are there and not finite. A term without a weight is not there."""
    there = [name for name in _WATCHED if name not in TERMS or name in row.terms]
    numbers = {name: _number(row, name) for name in there}
    return {name for name, number in numbers.items() if number is None or not math.isfinite(number)}
