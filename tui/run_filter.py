"""Which runs the list shows, and in which order: the language of the filter line."""

import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import UserError
from engine.store.records import RunRecord, Status
from tui.circle import following

Holds = Callable[[RunRecord], bool]


class SortBy(StrEnum):
    """Orders of the list; the value is what its title says."""

    NEWEST = "newest first"
    LOSS = "by loss"
    SIMILARITY = "by similarity"
    FIRST_MATCH = "by first match"
    NAME = "by name"

    @property
    def following(self) -> "SortBy":
        """The next one of the cycle."""
        return following(SortBy, self)


@dataclass(frozen=True)
class RunFilter:
    """What was typed, and the conditions that it stands for; a run is shown when all of them hold."""

    text: str = ""
    conditions: tuple[Holds, ...] = ()
    wrong: str | None = None
    """One line about a part that cannot be read, and is left out; None: there is none."""

    def holds(self, run: RunRecord) -> bool:
        """Whether a run is shown."""
        return all(condition(run) for condition in self.conditions)


_NUMBERS: dict[str, Callable[[RunRecord], float | None]] = {
    "loss": lambda run: run.loss,
    "sim": lambda run: run.similarity,
    "lr": lambda run: run.lr,
    "steps": lambda run: run.steps,
}
_TEXTS: dict[str, Callable[[RunRecord], str]] = {
    "status": lambda run: str(run.status),
    "bundle": lambda run: run.bundle,
    "session": lambda run: run.session,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_WORD = re.compile(r'(?:"[^"]*"?|[^\s"])+')
_NUMBER_CONDITION = re.compile(r"(\w*)(<=|>=|<|>)(.*)")
_TEXT_CONDITION = re.compile(r"(\w+):(.*)")


def parse_filter(text: str) -> RunFilter:
    """Read what was typed into the filter line.

    Words are looked for in init, target, name, session and decoded prediction, whatever their case; quotes
    keep several together, or a sign from meaning something. Besides there are `match`, `status:running`,
    `bundle:mini`, `session:today`, and bounds on loss, sim, lr and steps: `loss<0.2`.
    """
    conditions: list[Holds] = []
    wrong = None
    for word in _WORD.finditer(text):
        try:
            conditions.append(_condition(word.group()))
        except UserError as error:
            wrong = wrong or str(error)
    return RunFilter(text, tuple(conditions), wrong)


def in_order(runs: Iterable[RunRecord], sort: SortBy) -> list[RunRecord]:
    """Runs in an order; those without the value that it goes by come last, the newest of equals first."""
    newest_first = sorted(runs, key=lambda run: -run.id)
    return newest_first if sort is SortBy.NEWEST else sorted(newest_first, key=_SORT_KEYS[sort])


def _condition(word: str) -> Holds:
    if word.startswith('"'):
        return _contains(word)
    if word == "match":
        return lambda run: run.match is True
    if bound := _NUMBER_CONDITION.fullmatch(word):
        return _compares(word, *bound.groups())
    if text := _TEXT_CONDITION.fullmatch(word):
        return _is_in(*text.groups())
    return _contains(word)


def _compares(word: str, name: str, sign: str, number: str) -> Holds:
    value_of = _NUMBERS.get(name)
    if value_of is None:
        raise UserError(f"{word}: bounds are for {', '.join(_NUMBERS)}, as in loss<0.2")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise UserError(f"{word}: a number is needed, as in {name}{sign}0.2")
    compare = _COMPARISONS[sign]

    def holds(run: RunRecord) -> bool:
        value = value_of(run)
        return value is not None and compare(value, bound)

    return holds


def _is_in(name: str, value: str) -> Holds:
    text_of = _TEXTS.get(name)
    if text_of is None:
        raise UserError(f"{name}: there are {', '.join(_TEXTS)}; text with a colon needs quotes")
    wanted = value.replace('"', "").casefold()
    if name == "status" and not any(status.startswith(wanted) for status in Status):
        raise UserError(f"status:{value}: allowed are {', '.join(Status)}")
    if name == "status":
        return lambda run: run.status.startswith(wanted)
    return lambda run: wanted in text_of(run).casefold()


def _contains(word: str) -> Holds:
    wanted = word.replace('"', "").casefold()

    def holds(run: RunRecord) -> bool:
        texts = (run.init, run.target_text, run.name or "", run.session, run.decoded_prediction or "")
        return wanted in "\n".join(texts).casefold()

    return holds


def _highest_first(value: float | None) -> tuple[bool, float]:
    return value is None, -(value or 0.0)


def _lowest_first(value: float | None) -> tuple[bool, float]:
    return value is None, value or 0.0


_SORT_KEYS: dict[SortBy, Callable[[RunRecord], tuple[bool, float | str]]] = {
    SortBy.LOSS: lambda run: _lowest_first(run.loss),
    SortBy.SIMILARITY: lambda run: _highest_first(run.similarity),
    SortBy.FIRST_MATCH: lambda run: _lowest_first(run.first_match_step),
    SortBy.NAME: lambda run: (run.name is None, (run.name or "").casefold()),
}
