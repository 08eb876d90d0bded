"""Open SQLite connections the one way this project does."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from engine.errors import UserError

BUSY_TIMEOUT_MS = 10_000

_HEADER = b"SQLite format 3\x00"


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open an existing database without the means to change it.

    A database in WAL mode needs its side files even for reading; where they cannot be made (a directory
    without write permission, no writer about) the file is read as immutable.

    Raises:
        UserError: there is no such file, or it is not a database of this program.
    """
    _check_is_sqlite(path)
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        return _opened(uri)
    except sqlite3.OperationalError:
        pass
    except sqlite3.DatabaseError as error:
        raise unreadable(path, error) from error
    try:
        return _opened(uri + "&immutable=1")
    except sqlite3.DatabaseError as error:
        raise unreadable(path, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a prepared database for reading and writing, in WAL mode.

    `synchronous=NORMAL`: a killed process loses nothing, a power cut may take the last moments. Transactions
    are begun by hand, with BEGIN IMMEDIATE, so that a writer waits for its turn instead of failing half-way.

    Raises:
        UserError: the file cannot be written.
    """
    connection = _connect(f"file:{quote(str(path.resolve()))}?mode=rw")
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise unwritable(path, error) from error
    return connection


def unreadable(path: Path, error: Exception) -> UserError:
    """The one line for a database that cannot be read."""
    return UserError(f"database: {path}: cannot be read: {error}")


def unwritable(path: Path, error: Exception) -> UserError:
    """The one line for a database that cannot be written."""
    return UserError(f"database: {path}: cannot be written: {error}")


def _opened(uri: str) -> sqlite3.Connection:
    connection = _connect(uri)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    except sqlite3.OperationalError as error:
        raise UserError(f"database: {uri.removeprefix('file:').partition('?')[0]}: {error}") from error
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    return connection


def _check_is_sqlite(path: Path) -> None:
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except FileNotFoundError:
        raise UserError(f"database: {path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"database: {path}: {error.strerror}") from None
    if header and header != _HEADER:
        raise UserError(f"database: {path}: is not an SQLite database")
