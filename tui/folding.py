"""Lines of a table in which steps that decode to the same prediction stand as one."""

from bisect import bisect_right
from collections.abc import Sequence

from engine.store.records import StepRecord
from tui.trajectory import Row


class Folding:
    """Which rows each line stands for; adding rows at the end costs the same at any length.

    A line is an event, a step whose loss is not finite, or steps that follow one another directly and whose
    decoded predictions, where they have one, are the same.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._starts: list[int] = []
        self._decoded: list[int | None] = []
        self._counted = 0
        self._is_open = False
        self._text: str | None = None
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
        for index in range(self._counted, len(self._rows)):
            self._add(index, self._rows[index])
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
        return self._decoded[line]

    def _add(self, index: int, row: Row) -> None:
        is_foldable = isinstance(row, StepRecord) and row.loss is not None
        text = row.decoded_prediction if isinstance(row, StepRecord) else None
        is_same = self._text is None or text is None or text == self._text
        if not (is_foldable and self._is_open and is_same):
            self._starts.append(index)
            self._decoded.append(None)
            self._text = None
        self._is_open = is_foldable
        if text is not None:
            self._text = text
            self._decoded[-1] = index
