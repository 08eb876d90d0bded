"""What a verification found: a recorded run made again, and compared row by row."""

import os.path
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NUMBER_TOLERANCE = 1e-3
"""Allowed difference of a number, relative to the recorded one or absolute, whichever allows more; where the
run is made again on something else than it was recorded on."""

VECTOR_TOLERANCE = 1e-2
"""Allowed distance of a vector, relative to the recorded one's norm, in that case."""


_MOST_SHOWN = 60
"""Characters of a text that one line shows; the first that differs is among them."""

_SHOWN_BEFORE = 20


@dataclass(frozen=True)
class Difference:
    """A stored value that did not come out again."""

    step: int
    field: str
    """Its name: `loss`, `terms.ce`, `z`, `decoded_prediction`, …"""
    recorded: float | str | bool | None
    """None where the value is missing, not finite, or a vector."""
    now: float | str | bool | None
    size: float | None
    """Of numbers the absolute difference, of vectors the L2 distance; None for what has neither."""

    @property
    def texts(self) -> tuple[str, str] | None:
        """The recorded text and what it is now, where these are two texts."""
        if isinstance(self.recorded, str) and isinstance(self.now, str):
            return self.recorded, self.now
        return None

    @property
    def unseen(self) -> str:
        """Where two texts look the same: the first characters that are not; else empty."""
        if self.texts is None or _look(self.texts[0]) != _look(self.texts[1]):
            return ""
        place = len(os.path.commonprefix(self.texts))
        before, now = (f"U+{ord(text[place]):04X}" if place < len(text) else "the end" for text in self.texts)
        return f"character {place + 1}: {before} → {now}"

    def __str__(self) -> str:
        values = "" if self.recorded is self.now is None else f" {' → '.join(self._values)}"
        size = "" if self.size is None else f" ({self.size:.3g} off)"
        unseen = f" ({self.unseen})" if self.unseen else ""
        return f"step {self.step}: {self.field}{values}{size}{unseen}"

    @property
    def _values(self) -> tuple[str, str]:
        """What was recorded and what it is now, in a few words each."""
        start = 0
        if self.texts is not None and max(map(len, self.texts)) > _MOST_SHOWN:
            start = max(len(os.path.commonprefix(self.texts)) - _SHOWN_BEFORE, 0)
        return _shown(self.recorded, start), _shown(self.now, start)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a verification."""

    run: int
    first_step: int
    last_step: int
    """The rows that were compared."""
    other_ground: tuple[str, ...]
    """In what the run is made again on something else: `torch: 2.9.1+cpu, recorded with 2.8.0`. Empty: in
    nothing, and every bit has to be the same."""
    first: Difference | None
    """The first stored value that did not come out again; None: all did."""
    differing_rows: int
    largest: tuple[Difference, ...]
    """The largest difference of each field with numbers or vectors that differ at all, tolerated or not."""

    @property
    def equal(self) -> bool:
        """Whether everything came out again."""
        return self.first is None

    @property
    def is_exact(self) -> bool:
        """Whether every bit had to be the same."""
        return not self.other_ground

    @property
    def rows(self) -> str:
        """How many rows were compared, and which."""
        first, last = self.first_step, self.last_step
        return f"{last - first + 1} row{'' if first == last else 's'} (steps {first} to {last})"

    @property
    def summary(self) -> str:
        """The outcome in one line."""
        if self.first is not None:
            return f"differs from {self.first}; {self.differing_rows} of {self.rows}"
        if self.is_exact:
            return f"all equal, bit for bit: {self.rows}"
        return f"all equal within tolerance: {self.rows}; {'; '.join(self.other_ground)}"

    @property
    def details(self) -> list[str]:
        """What else there is to say, for people."""
        grounds = self.other_ground if self.first is not None else ()
        return [
            *(f"made again on something else: {ground}" for ground in grounds),
            *(
                f"largest difference of {each.field}: {each.size:.3g} at step {each.step}"
                for each in self.largest
            ),
        ]

    def to_result(self) -> dict[str, Any]:
        """The verdict as JSON can hold it."""
        return {**asdict(self), "equal": self.equal, "exact": self.is_exact, "summary": self.summary}

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> "Verdict":
        """Read what `to_result` gave."""
        first = result["first"]
        return cls(
            run=result["run"],
            first_step=result["first_step"],
            last_step=result["last_step"],
            other_ground=tuple(result["other_ground"]),
            first=None if first is None else Difference(**first),
            differing_rows=result["differing_rows"],
            largest=tuple(Difference(**each) for each in result["largest"]),
        )


def compare_ground(
    before: Mapping[str, str] | None, now: Mapping[str, str], names: Sequence[str]
) -> list[str]:
    """In which of these two environments differ, in a line each."""
    if before is None:
        return ["what the run was recorded on is not known"]
    return [
        f"{name}: {now.get(name, 'unknown')}, recorded with {before.get(name, 'unknown')}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _shown(value: object, start: int) -> str:
    """A value in a few words; of a text those from a character on."""
    if not isinstance(value, str):
        return "nothing" if value is None else str(value)
    shown = value[start : start + _MOST_SHOWN]
    return f"“{'…' * (start > 0)}{shown}{'…' * (start + _MOST_SHOWN < len(value))}”"


def _look(text: str) -> str:
    """What is left of a text to the eye: all spaces and all that is invisible look alike."""
    signs = unicodedata.normalize("NFKC", text)
    return "".join(" " if unicodedata.category(sign)[0] in "ZC" else sign for sign in signs)
