"""The end of a text file that another process writes: read once, then only what is new."""

import os
from collections import deque
from pathlib import Path

MOST_LINES = 500
_MOST_BYTES = 256 * 1024
_MOST_CHARACTERS = 2000
"""Of one line."""


class LogTail:
    """The newest lines of a file, which may not be there yet, be cut off, or be replaced by another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        """Why there is nothing to read."""
        self.dropped = 0
        """Lines before the first of `lines` that have been read and let go of."""
        self._lines: deque[str] = deque()
        self._unfinished = b""
        self._file: tuple[int, int] | None = None
        self._offset = 0

    @property
    def lines(self) -> list[str]:
        """The newest lines, oldest first, at most `MOST_LINES`; as hostile as the file."""
        return [*self._lines, *([_decoded(self._unfinished)] if self._unfinished else [])]

    def read(self) -> bool:
        """Read what is new; whether anything is."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                is_new = self._begin_again_unless_it_grew((status.st_dev, status.st_ino), status.st_size)
                # A bound, for a file that grows faster than it is read.
                added = self._add(os.pread(file.fileno(), _MOST_BYTES, self._offset))
        except OSError as error:
            problem = "there is none yet" if isinstance(error, FileNotFoundError) else str(error.strerror)
            is_new = problem != self.problem
            self._forget()
            self.problem = problem
            return is_new
        is_new = is_new or self.problem is not None
        self.problem = None
        return is_new or added

    def _begin_again_unless_it_grew(self, file: tuple[int, int], size: int) -> bool:
        is_other = file != self._file or size < self._offset
        if is_other or size - self._offset > _MOST_BYTES:
            self._forget()
            self._file, self._offset = file, max(size - _MOST_BYTES, 0)
        return is_other

    def _forget(self) -> None:
        self._lines.clear()
        self._unfinished = b""
        self._file, self._offset, self.dropped = None, 0, 0

    def _add(self, new: bytes) -> bool:
        begins_within_a_line = self._offset > 0 and not self._lines and not self._unfinished
        self._offset += len(new)
        *finished, self._unfinished = (self._unfinished + new).split(b"\n")
        self._unfinished = self._unfinished[-_MOST_BYTES:]
        self._lines.extend(_decoded(line) for line in finished[1 if begins_within_a_line else 0 :])
        while len(self._lines) >= MOST_LINES:
            self._lines.popleft()
            self.dropped += 1
        return bool(new)


def _decoded(line: bytes) -> str:
    """One line of text; of what a progress bar wrote over itself, the last."""
    kept = line.rstrip(b"\r").rpartition(b"\r")[2]
    return kept[: 4 * _MOST_CHARACTERS].decode(errors="replace")[:_MOST_CHARACTERS]
