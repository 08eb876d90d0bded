"""Open SQLite connections the one way this project does."""

import errno
import os
import sqlite3
import stat
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
    _check_is_readable(path)
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        return _opened(uri)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise unreadable(path, error) from error  # an immutable file is read past all locks
    except sqlite3.DatabaseError as error:
        raise _explained(path, error) from error
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


def _check_is_readable(path: Path) -> None:
    """Say clearly why a file cannot be had, without opening it.

    Whoever closes a file, takes every lock off it that the process holds (POSIX), those of its open SQLite
    connections too; another process then believes to be the last one, and removes the WAL under them.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UserError(f"database: {path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"database: {path}: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise UserError(f"database: {path}: is no file")
    if not os.access(path, os.R_OK):
        raise UserError(f"database: {path}: {os.strerror(errno.EACCES)}")


def _explained(path: Path, error: sqlite3.DatabaseError) -> UserError:
    """The line for a file that SQLite does not take; as it is no database, nobody has it open as one."""
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                return UserError(f"database: {path}: is not an SQLite database")
    return unreadable(path, error)
