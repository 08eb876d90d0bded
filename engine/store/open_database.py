"""A database that is open for reading, and rows of it."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.errors import UserError
from engine.store.connection import connect_read_only, network_notice, unreadable
from engine.store.schema import SCHEMA, bring_up_to_date, newer, schema_revision

Row = tuple[Any, ...]
T = TypeVar("T")


class OpenDatabase:
    """A read-only connection to one database. One thread at a time may use it."""

    def __init__(self, path: Path) -> None:
        """Open a database for reading.

        Looking at a database changes nothing, except that an older one is brought up to date first.

        Raises:
            UserError: there is no such file, it is no database of this program, it is damaged, or it is an
                older one that cannot be brought up to date.
        """
        self.path = path
        self._connection = connect_read_only(path)
        revision = self._revision()
        if revision < SCHEMA:
            self._connection.close()
            bring_up_to_date(path, revision)
            self._connection = connect_read_only(path)
            revision = self._revision()
        notices = (
            str(newer(path, revision)) if revision > SCHEMA else None,
            self._connection.notice,
            network_notice(path),
        )
        self.notice: str | None = "; ".join(filter(None, notices)) or None
        """A line that the user should see although reading works."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def data_version(self) -> int:
        """A number that changes when another connection has committed: the cheap 'is there anything new?'."""
        return int(self.rows("PRAGMA data_version")[0][0])

    def rows(self, sql: str, arguments: Sequence[object] | dict[str, object] = ()) -> list[Row]:
        """Rows of a query."""
        return self._guarded(lambda: self._connection.execute(sql, arguments).fetchall())

    def made_of_rows(self, sql: str, arguments: Sequence[object], make: Callable[[Row], T]) -> list[T]:
        """What is made of each row of a query as it is read: all rows at once may take more than that."""
        return self._guarded(lambda: [make(row) for row in self._connection.execute(sql, arguments)])

    def _guarded(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except sqlite3.DatabaseError as error:
            raise unreadable(self.path, error) from error
        except UserError as error:
            raise UserError(f"database: {self.path}: {error}") from None

    def _revision(self) -> str:
        revision = self._guarded(lambda: schema_revision(self._connection))
        if revision is None:
            raise UserError(f"database: {self.path}: is empty")
        return revision
