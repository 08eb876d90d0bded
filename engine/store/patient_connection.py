"""A connection that waits until it can read and write: nothing that happened is dropped.

A transaction that cannot be written now (disk full, database locked by another program) is tried again until
it can: whoever writes then stands still. Only a database that has been deleted or replaced is given up, after
what was recorded has been copied to a new file beside it.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.store.connection import connect, journal_mode, primary_code
from engine.store.copies import rescue
from engine.store.filesystem import files_of

T = TypeVar("T")

SQLITE_LOG_PAGES = 1000
"""SQLite's own limit of the log: 4 MB."""

_RETRY_S = 1.0

_TRANSIENT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What another program or a full disk causes, and time may cure."""


class DatabaseGoneError(Exception):
    """The database that is written has been deleted or replaced."""


class PatientConnection:
    """A connection to one database, for the runs of one device."""

    def __init__(
        self,
        path: Path,
        device: str,
        *,
        report: Callable[[str], None],
        log_pages: int = SQLITE_LOG_PAGES,
    ) -> None:
        """Open a prepared database.

        Args:
            path: of the database.
            device: whose worker this is.
            report: gets a line when a transaction has to wait.
            log_pages: a commit after which the write-ahead log has so many pages copies them into the
                database, and waits for the disk.
        """
        self.path = path
        self.device = device
        self._report = report
        self._connection = connect(path)
        self._connection.execute(f"PRAGMA wal_autocheckpoint={log_pages}")
        self._files = files_of(path)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        return int(self.read("PRAGMA data_version")[0][0])

    @property
    def keeps_log(self) -> bool:
        """Whether the database has a write-ahead log; False: a rollback journal."""
        return journal_mode(self._connection) == "wal"

    def is_in_place(self) -> bool:
        """Whether the file that is written is still the one of that name: not deleted, not replaced."""
        try:
            now = files_of(self.path)
        except OSError:  # a network that is away: it may come back
            return True
        return now is not None and self._files is not None and now.database == self._files.database

    def rescue(self) -> Path:
        """Copy a database that has been deleted or replaced to a new file, `NAME.rescued`.

        Raises:
            OSError, sqlite3.Error: it cannot be copied.
        """
        return rescue(self._connection, self.path)

    def read(self, sql: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows as they are now, again and again until they can be read."""
        return self._patiently(lambda: self._connection.execute(sql, arguments).fetchall())

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Change something in one transaction, again and again until it can be.

        Raises:
            DatabaseGoneError: the database has been deleted or replaced meanwhile.
        """
        return self._patiently(lambda: self._in_transaction(change))

    def _patiently(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if primary_code(error) not in _TRANSIENT:
                    raise
                if not self.is_in_place():
                    raise DatabaseGoneError from error
                self._report(f"{self.path}: {error}; trying again every {_RETRY_S:g} s")
                time.sleep(_RETRY_S)

    def _in_transaction(self, change: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = change(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result
