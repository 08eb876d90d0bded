"""The table of what a card was measured to do, beside what was wanted of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    measured: float | None
    """None: it did not fit into the card's memory."""

    unit: str = "ms"
    wanted: float | None = None
    """At most so much; None: nothing in particular."""

    beside: str = ""
    """What it is compared with."""

    bound: float | None = None
    """Milliseconds that reading the needed weights takes at best."""

    profile: Callable[[], str] | None = None
    """Finds what takes the time, as Markdown."""

    @property
    def is_met(self) -> bool:
        """Whether what was wanted was measured."""
        return self.wanted is None or (self.measured is not None and self.measured <= self.wanted)

    def __str__(self) -> str:
        measured = "out of memory" if self.measured is None else f"{_number(self.measured)} {self.unit}"
        wanted = "" if self.wanted is None else f"≤ {_number(self.wanted)} {self.unit}"
        met = "" if self.wanted is None else "yes" if self.is_met else "no"
        bound = "" if self.bound is None else f"{_number(self.bound)} ms"
        return f"| {self.what} | {measured} | {wanted} | {met} | {self.beside} | {bound} |"


@dataclass(frozen=True)
class Note:
    """What is to be said besides."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Profile:
    """What takes the time of a line."""

    what: str
    text: str

    def __str__(self) -> str:
        return f"### {self.what}\n\n{self.text}"


Entry = Line | Note | Profile


def markdown(head: str, entries: Iterable[Entry]) -> str:
    """All that was measured.

    Args:
        head: what stands above the table.
        entries: in the order in which they were measured.
    """
    entries = list(entries)
    table = [str(entry) for entry in entries if isinstance(entry, Line)]
    notes = [f"- {entry}" for entry in entries if isinstance(entry, Note)]
    profiles = [str(entry) for entry in entries if isinstance(entry, Profile)]
    parts = [
        head,
        "\n".join(
            [
                "| what | measured | wanted | met | beside it | bound by memory |",
                "|---|---|---|---|---|---|",
                *table,
            ]
        ),
        "\n".join(notes),
    ]
    if profiles:
        parts += ["## What takes the time", *profiles]
    return "\n\n".join(filter(None, parts)) + "\n"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
