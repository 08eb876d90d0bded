"""What people type for numbers, options and schedules, as the engine takes it."""

from collections.abc import Sequence

from engine.errors import UserError
from engine.options import OPTIONS
from engine.schedule import parse_schedule, split_start


def number_of(text: str | None) -> object:
    """The number that a text spells; any other text as it is, for the spec to accept or to refuse."""
    for kind in (int, float):
        try:
            return None if text is None else kind(text)
        except ValueError:
            continue
    return text


def option_of(name: str, texts: Sequence[str]) -> object:
    """The value of an option, by its full name, from what was typed for it; one text, or several of texts."""
    default = OPTIONS[name].default if name in OPTIONS else ""
    if isinstance(default, tuple):
        return tuple(texts)
    (text,) = texts
    return text if isinstance(default, str) else number_of(text)


def spelled_option(value: object) -> list[str]:
    """What to type for the value of an option, without losing a digit; the reverse of `option_of`."""
    return list(value) if isinstance(value, tuple) else [spelled_number(value)]


def spelled_number(value: object) -> str:
    """A value as one would type it, without losing a digit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def number_or_schedule(field: str, text: str, *, of: str) -> float | str:
    """A number, or a schedule in its canonical text, with the number that it begins with where one is given.

    Args:
        field: What it is called where it was typed.
        text: What was typed.
        of: `lr`, or the name of a loss term.

    Raises:
        UserError: it is neither.
    """
    try:
        return float(text)
    except ValueError:
        pass
    start, schedule = split_start(text)
    try:
        canonical = str(parse_schedule(schedule, of=of))
        return canonical if start is None else f"{spelled_number(start)}:{canonical}"
    except ValueError as error:
        shown = repr(text[:40]) if text else "empty"
        raise UserError(f"{field}: {shown}: should be a number, or a schedule: {error}") from None
