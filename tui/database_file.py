"""Is the file that is being looked at still the one of that name? What to say when it is not."""

import contextlib
from pathlib import Path

from engine.errors import UserError
from engine.store.copies import rescue_hint, rescued_copies
from engine.store.filesystem import Files, files_of


class DatabaseFile:
    """The file behind a database's name, as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: Files | None = None
        self._rescued: set[Path] = set()
        self.notice: str | None = None
        """What the user should know about the file that was there before."""

    def is_in_place(self) -> bool:
        """Whether it is still the same file."""
        with contextlib.suppress(OSError):
            now = files_of(self._path)
            if now is not None and self._files is not None and now.database == self._files.database:
                self._files = now  # its write-ahead log may be filled by now
                return True
        return False

    def find(self) -> bool:
        """Take the file that is there now for the one to be opened; False: there is none, and never was.

        Raises:
            UserError: it has been deleted, or the write-ahead log beside it is not its own.
        """
        try:
            now = files_of(self._path)
        except OSError as error:
            raise UserError(f"database: {self._path}: {error.strerror}") from error
        before = self._files
        if now is None:
            if before is None:
                return False
            raise UserError(self._deleted())
        if before is None or now.database != before.database:
            if before is not None and now.log is not None and now.log == before.log:
                name = self._path.name
                raise UserError(
                    f"database: {self._path}: was replaced, but {name}-wal, which belongs to the file "
                    f"before, is still there: once no worker is left, remove it and {name}-shm"
                )
            rescued = None if before is None else self._newly_rescued()
            if rescued is not None:
                self.notice = (
                    f"database: {self._path}: was replaced; what the worker had recorded is in {rescued.name}"
                )
            self._rescued = set(rescued_copies(self._path))
        self._files = now
        return True

    def _deleted(self) -> str:
        said = f"database: {self._path}: has been deleted"
        rescued = self._newly_rescued()
        if rescued is None:
            return f"{said}; the next run makes a new one"
        return f"{said}; {rescue_hint(rescued)}"

    def _newly_rescued(self) -> Path | None:
        """A copy that a worker has made of the file since it was opened."""
        new = [copy for copy in rescued_copies(self._path) if copy not in self._rescued]
        return new[-1] if new else None
