"""Schedules: how a learning rate, or the weight of a loss term, changes from step to step.

    constant                   the value itself
    warmup:N                   value · (t + 1) / N for the first N steps, then the value
    linear:END:N               in a straight line from the value to END over N steps, then END
    cosine:END:N               along half a cosine from the value to END over N steps, then END
    plateau:FACTOR:PATIENCE    the value times FACTOR whenever the loss has not become lower for more than
                               PATIENCE steps; of a learning rate alone

t counts from step 0, or from STEP where @STEP is added; before that the value holds. What `plateau` has seen
is not a function of the step, so it is kept with the run's state, and `plateau_update` brings it up to date.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from torch import Tensor

MAX_STEPS = 10_000_000
MAX_LR = 1000

PLATEAU_START = (math.inf, 0.0, 1.0)
"""What `plateau` begins with: the lowest loss, the steps since then, and what the value is multiplied by."""

PLATEAU_THRESHOLD = 1e-4
"""A loss counts as lower when it is so by more than this share of the lowest."""

_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_STARTED = re.compile(r"\s*(?P<start>[^\s:]+)(?:\s*:\s*|\s+)(?P<schedule>\S.*)", re.DOTALL)
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """How a value changes from step to step. `str` gives the canonical text, which `parse_schedule` reads."""

    form: ClassVar[str]
    """How it is written: its name, and then what it needs, as in `linear:END:N`."""

    does: ClassVar[str]
    """What becomes of the value, in one line."""

    is_of_terms: ClassVar[bool] = True
    """Whether the weight of a term may have it, and not the learning rate alone."""

    origin: int = 0
    """Step at which it begins."""

    def __str__(self) -> str:
        return self._text() + (f"@{self.origin}" if self.origin else "")

    def value(self, base: float, step: int) -> float:
        """The value at a step, where `base` is what it is without a schedule."""
        return base if step < self.origin else self._value(base, step - self.origin)

    def starting_at(self, step: int) -> Self:
        """The same schedule, beginning at a step."""
        return replace(self, origin=step)

    def describe(self) -> str:
        """The schedule in a few words, for a screen."""
        return self._description() + (f", from step {self.origin}" if self.origin else "")

    @classmethod
    @abstractmethod
    def _read(cls, texts: Sequence[str], *, of: str) -> Self:
        """Read what stands after the name, of which there is as much as in `form`."""

    @abstractmethod
    def _value(self, base: float, t: int) -> float:
        """The value t steps after the origin."""

    @abstractmethod
    def _text(self) -> str:
        """The canonical text without the origin."""

    @abstractmethod
    def _description(self) -> str:
        """The description without the origin."""


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The value itself, at every step."""

    form = "constant"
    does = "the value itself"

    def starting_at(self, step: int) -> Self:
        """The same: it makes no difference."""
        return self

    @classmethod
    def _read(cls, texts: Sequence[str], *, of: str) -> Self:
        return cls()

    def _value(self, base: float, t: int) -> float:
        return base

    def _text(self) -> str:
        return "constant"

    def _description(self) -> str:
        return "constant"


@dataclass(frozen=True, kw_only=True)
class WarmUp(Schedule):
    """From value / N to the value, in N steps."""

    form = "warmup:N"
    does = "from value / N to the value in N steps"

    steps: int

    @classmethod
    def _read(cls, texts: Sequence[str], *, of: str) -> Self:
        return cls(steps=_whole("N", texts[0], low=1))

    def _value(self, base: float, t: int) -> float:
        return base * (t + 1) / self.steps if t < self.steps else base

    def _text(self) -> str:
        return f"warmup:{self.steps}"

    def _description(self) -> str:
        return f"warm-up over {_steps(self.steps)}"


@dataclass(frozen=True, kw_only=True)
class _Towards(Schedule):
    """From the value to another in some steps, and then the other."""

    end: float
    steps: int

    @classmethod
    def _read(cls, texts: Sequence[str], *, of: str) -> Self:
        return cls(end=_end(texts[0], of=of), steps=_whole("N", texts[1], low=1))

    @staticmethod
    @abstractmethod
    def _covered(share: float) -> float:
        """Share of the way to the other value after a share of the steps."""

    def _value(self, base: float, t: int) -> float:
        return base + (self.end - base) * self._covered(t / self.steps) if t < self.steps else self.end

    @property
    def _name(self) -> str:
        return self.form.split(":")[0]

    def _text(self) -> str:
        return f"{self._name}:{_canonical(self.end)}:{self.steps}"

    def _description(self) -> str:
        return f"{self._name} to {self.end:g} over {_steps(self.steps)}"


@dataclass(frozen=True, kw_only=True)
class Linear(_Towards):
    """From the value to another in a straight line."""

    form = "linear:END:N"
    does = "in a straight line from the value to END over N steps"

    @staticmethod
    def _covered(share: float) -> float:
        return share


@dataclass(frozen=True, kw_only=True)
class Cosine(_Towards):
    """From the value to another along half a cosine."""

    form = "cosine:END:N"
    does = "along half a cosine from the value to END over N steps"

    @staticmethod
    def _covered(share: float) -> float:
        return (1 - math.cos(math.pi * share)) / 2


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """Lower by a factor whenever the loss stops falling. `value` leaves out what the state says."""

    form = "plateau:FACTOR:PATIENCE"
    does = "times FACTOR whenever the loss has not become lower for more than PATIENCE steps"
    is_of_terms = False

    factor: float
    patience: int

    @classmethod
    def _read(cls, texts: Sequence[str], *, of: str) -> Self:
        return cls(factor=_factor(texts[0]), patience=_whole("PATIENCE", texts[1], low=0))

    def _value(self, base: float, t: int) -> float:
        return base

    def _text(self) -> str:
        return f"plateau:{_canonical(self.factor)}:{self.patience}"

    def _description(self) -> str:
        return f"× {self.factor:g} when stuck for over {_steps(self.patience)}"


SCHEDULES: tuple[type[Schedule], ...] = (Constant, WarmUp, Linear, Cosine, Plateau)
"""Every kind of schedule."""


def parse_schedule(text: str, *, of: str) -> Schedule:
    """Read a schedule as people write it.

    Args:
        text: as in `cosine:0.001:200@50`.
        of: what follows it: `lr`, or the name of a loss term.

    Raises:
        ValueError: it is none; the line says what is allowed.
    """
    form, at, origin = text.strip().partition("@")
    name, *texts = form.split(":")
    allowed = {kind.form.split(":")[0]: kind for kind in SCHEDULES if kind.is_of_terms or of == "lr"}
    kind = allowed.get(name)
    if kind is None or len(texts) != kind.form.count(":"):
        forms = ", ".join(each.form for each in allowed.values())
        raise ValueError(f"allowed are {forms}; @STEP at the end says where it begins")
    schedule = kind._read(texts, of=of)
    return schedule.starting_at(_whole("STEP", origin, low=0)) if at else schedule


def split_start(text: str) -> tuple[float | None, str]:
    """What a schedule is to begin with, where that stands before it, and the schedule's own text.

    `0.02:cosine:0:100` or, as in a form, `0.02 cosine:0:100`; a schedule alone begins with the value of then.
    """
    started = _STARTED.fullmatch(text)
    try:
        return (float(started["start"]), started["schedule"]) if started else (None, text)
    except ValueError:
        return None, text


def plateau_update(state: Tensor, loss: Tensor, factor: Tensor, patience: Tensor) -> Tensor:
    """What `plateau` has seen after one more loss, as torch's ReduceLROnPlateau counts. # (N, 3)

    Nothing is changed in place and nothing is read by the host.

    Args:
        state: lowest loss, steps since then, and what the value is multiplied by; at first PLATEAU_START.
            # (N, 3) float64
        loss: (N,) or (N, 1)
        factor: what the multiplier is multiplied by. # (N, 1) float64
        patience: steps without a lower loss that are borne; infinite where a run has no such schedule, or it
            has not begun: what it has seen stays. # (N, 1) float64
    """
    lowest, waited, multiplier = state[:, :1], state[:, 1:2], state[:, 2:]  # (N, 1)
    current = loss.reshape(-1, 1).to(state.dtype)
    is_lower = current < lowest * (1 - PLATEAU_THRESHOLD)
    waited = (waited + 1).where(~is_lower, 0.0)
    is_over = waited > patience
    new = state.new_empty(state.shape)
    new[:, :1] = current.where(is_lower, lowest)
    new[:, 1:2] = waited.where(~is_over, 0.0)
    new[:, 2:] = (multiplier * factor).where(is_over, multiplier)
    return new.where(patience.isfinite(), state)


def _whole(symbol: str, text: str, *, low: int) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else -1
    if not low <= number <= MAX_STEPS:
        raise ValueError(f"{symbol}: allowed is a whole number, {low} to {MAX_STEPS}")
    return number


def _end(text: str, *, of: str) -> float:
    number = _number(text)
    if of == "lr" and not 0 <= number <= MAX_LR:
        raise ValueError(f"END: allowed is a number, 0 to {MAX_LR}")
    if not 0 <= number < math.inf:
        raise ValueError("END: allowed is a number, 0 or more")
    return number


def _factor(text: str) -> float:
    number = _number(text)
    if not 0 < number < 1:
        raise ValueError("FACTOR: allowed is a number above 0 and below 1")
    return number


def _number(text: str) -> float:
    """The number; NaN where the text is none."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _canonical(number: float) -> str:
    is_whole = number.is_integer() and number < 1e15
    return str(int(number)) if is_whole else repr(number)


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"
