"""Lines of a table: a row on each, or steps that decode to the same prediction as one."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

_NONE = -1


class Folded(Protocol):
    """Rows that can be folded; see `Trajectory`."""

    def __len__(self) -> int: ...

    def folded_by(self, first: int) -> Iterator[tuple[bool, int]]:
        """Whether each row from an index on is a step with a finite loss, and what tells its text."""


class Decoded(Protocol):
    """Rows some of which were decoded; see `Trajectory`."""

    def __len__(self) -> int: ...

    def decoded_before(self, index: int) -> int | None:
        """Index of the newest decoded step before a row."""


class Unfolded:
    """Every row on a line of its own; asked as `Folding` is."""

    def __init__(self, rows: Decoded) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def update(self, first: int) -> None:
        """Rows from index `first` on are new or have moved, and their lines with them."""

    def line_of(self, index: int) -> int:
        """The line on which a row stands."""
        return index

    def span(self, line: int) -> range:
        """Indexes of the rows that a line stands for."""
        return range(line, line + 1)

    def decoded_on(self, line: int) -> int | None:
        """Index of the line's row, where that is a decoded step."""
        return line if self._rows.decoded_before(line + 1) == line else None


class Folding:
    """Which rows each line stands for; adding rows at the end costs the same at any length.

    A line is an event, a step whose loss is not finite, or steps that follow one another directly and whose
    decoded predictions, where they have one, are the same.
    """

    def __init__(self, rows: Folded) -> None:
        self._rows = rows
        self._starts = array("q")
        self._decoded = array("q")
        self._counted = 0
        self._is_open = False
        self._text = 0
        self.update(0)

    def __len__(self) -> int:
        return len(self._starts)

    def update(self, first: int) -> None:
        """Take over that rows from index `first` on are new or have moved."""
        if first < self._counted:
            line = self.line_of(first - 1) if first else 0
            self._counted = self._starts[line]
            del self._starts[line:], self._decoded[line:]
            self._is_open = False
        for index, (is_foldable, text) in enumerate(self._rows.folded_by(self._counted), self._counted):
            self._add(index, is_foldable, text)
        self._counted = len(self._rows)

    def line_of(self, index: int) -> int:
        """The line on which a row stands."""
        return bisect_right(self._starts, index) - 1

    def span(self, line: int) -> range:
        """Indexes of the rows that a line stands for."""
        end = self._starts[line + 1] if line + 1 < len(self._starts) else self._counted
        return range(self._starts[line], end)

    def decoded_on(self, line: int) -> int | None:
        """Index of the newest decoded step of a line."""
        index = self._decoded[line]
        return None if index == _NONE else index

    def _add(self, index: int, is_foldable: bool, text: int) -> None:
        is_same = not self._text or not text or text == self._text
        if not (is_foldable and self._is_open and is_same):
            self._starts.append(index)
            self._decoded.append(_NONE)
            self._text = 0
        self._is_open = is_foldable
        if text:
            self._text = text
            self._decoded[-1] = index
