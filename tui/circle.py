"""Going round a few values with one key."""

from collections.abc import Iterable
from typing import TypeVar

Value = TypeVar("Value")


def following(values: Iterable[Value], value: Value) -> Value:
    """The one of the values that comes after this one; after the last one the first."""
    ordered = list(values)
    return ordered[(ordered.index(value) + 1) % len(ordered)]
