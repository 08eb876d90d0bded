"""Options: what can be said about a loss term, a constraint or an optimiser, by name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.texts import checked_text

Value = int | float | str | tuple[str, ...]
"""What an option is: a number, a word, or texts."""


@dataclass(frozen=True)
class Option:
    """One option of one entry of a registry; its full name is `ENTRY.NAME`, as in `noise.copies`."""

    name: str
    default: Value
    description: str
    check: Callable[[object], Value]
    """Returns what is stored for a value from outside, or raises a ValueError that says what is allowed."""

    allowed: str
    """What is allowed, in a few words."""


def whole_number(name: str, default: int, description: str, *, low: int, high: int) -> Option:
    """An option that is a whole number from `low` to `high`."""
    allowed = f"a whole number, {low} to {high}"

    def check(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"allowed is {allowed}")
        return value

    return Option(name, default, description, check, allowed)


def number(name: str, default: float, description: str, *, low: float, high: float) -> Option:
    """An option that is a finite number from `low` to `high`, the ends included."""
    allowed = f"a number, {low:g} to {high:g}"

    def check(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"allowed is {allowed}")
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"allowed is {allowed}")
        return float(value)

    return Option(name, default, description, check, allowed)


def choice(name: str, default: str, description: str, *, among: tuple[str, ...]) -> Option:
    """An option that is one word of a few."""
    allowed = ", ".join(among)

    def check(value: object) -> Value:
        if not isinstance(value, str) or value not in among:
            raise ValueError(f"allowed are {allowed}")
        return value

    return Option(name, default, description, check, allowed)


def texts(name: str, description: str) -> Option:
    """An option that is any number of texts, none at first."""

    def check(value: object) -> Value:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, (list, tuple)) or not all(isinstance(text, str) for text in given):
            raise ValueError("allowed are texts")
        return tuple(checked_text(text) for text in given)

    return Option(name, (), description, check, "texts")


def full_names(entries: Mapping[str, tuple[Option, ...]]) -> dict[str, Option]:
    """Options by their full names, from those of each entry."""
    return {f"{entry}.{option.name}": option for entry, options in entries.items() for option in options}
