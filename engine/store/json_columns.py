"""Values of columns as Python has them. A column may hold anything."""

import json
from typing import Any


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """The object that a text holds; None when it holds none."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def texts(stored: str) -> tuple[str, ...]:
    """The texts of a JSON array."""
    try:
        values = json.loads(stored)
    except (ValueError, TypeError, RecursionError):
        return ()
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def as_bool(value: int | None) -> bool | None:
    """SQLite has 0 and 1."""
    return None if value is None else bool(value)
