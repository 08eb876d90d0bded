"""Open SQLite connections the one way this project does."""

import errno
import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from engine.errors import UserError
from engine.store.copies import no_such_database
from engine.store.filesystem import network_file_system

BUSY_TIMEOUT_MS = 10_000

REPAIR_HINT = "`sonar-explore doctor --repair` saves what can be read of it"

_HEADER = b"SQLite format 3\x00"
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NO_SHARED_MEMORY = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CANTOPEN)


class ReadConnection(sqlite3.Connection):
    """A connection that only reads."""

    notice: str | None = None
    """A line that the user should see about how the file is read."""


def connect_read_only(path: Path) -> ReadConnection:
    """Open an existing database without the means to change it.

    A transaction that a killed process left half-way in a rollback journal is taken back first, as everyone
    who opens the file does. A database in WAL mode needs its side files even for reading; where they cannot
    be made (a directory without write permission, no writer about) the file is read as immutable.

    Raises:
        UserError: there is no such file, or it is not a database of this program.
    """
    _check_is_readable(path)
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        try:
            return _opened(uri)
        except sqlite3.OperationalError as error:
            _raise_if_locked(path, error)
        try:
            return _opened_after_recovery(path, uri)
        except sqlite3.OperationalError as error:
            _raise_if_locked(path, error)
            problem = error
    except sqlite3.DatabaseError as error:
        raise _explained(path, error) from error
    if _is_filled(path, "-journal"):  # without it the file is half of a transaction
        raise unreadable(path, problem) from problem
    try:
        connection = _opened(uri + "&immutable=1")
    except sqlite3.DatabaseError as error:
        raise unreadable(path, error) from error
    if _is_filled(path, "-wal"):
        connection.notice = (
            f"database: {path}: its newest rows are in {path.name}-wal, which cannot be read in a folder "
            "without write permission: copy both files to another one"
        )
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Open a prepared database for reading and writing, in WAL mode where that is possible.

    With `synchronous=NORMAL` a killed process loses nothing, a power cut may take the last moments. On a
    network file system, and where the write-ahead log finds no shared memory, a rollback journal is kept:
    every commit then waits for the disk. Transactions are begun by hand, with BEGIN IMMEDIATE, so that a
    writer waits for its turn instead of failing half-way.

    Raises:
        UserError: the file cannot be written.
    """
    connection = _connect(f"file:{quote(str(path.resolve()))}?mode=rw")
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # heeded by a new file: it can shrink in slices
        is_wal = network_file_system(path) is None and _switch_to_wal(connection)
        if not is_wal:
            _switch_to_rollback_journal(connection)
        connection.execute(f"PRAGMA synchronous={'NORMAL' if is_wal else 'FULL'}")
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise unwritable(path, error) from error
    return connection


def journal_mode(connection: sqlite3.Connection) -> str:
    """`wal`, or `delete` for a rollback journal."""
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def network_notice(path: Path) -> str | None:
    """The line for a database on a network file system; None for one on a local disk."""
    kind = network_file_system(path)
    if kind is None:
        return None
    return (
        f"database: {path}: is on a network file system ({kind}): it is kept with a rollback journal, which "
        "is slower; use it from one machine at a time"
    )


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's code of an error without what refines it, for example SQLITE_IOERR."""
    return error.sqlite_errorcode & 0xFF


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file itself is broken."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def unreadable(path: Path, error: Exception) -> UserError:
    """The one line for a database that cannot be read."""
    return UserError(f"database: {path}: cannot be read: {_with_advice(error)}")


def unwritable(path: Path, error: Exception) -> UserError:
    """The one line for a database that cannot be written."""
    return UserError(f"database: {path}: cannot be written: {_with_advice(error)}")


def _raise_if_locked(path: Path, error: sqlite3.OperationalError) -> None:
    """An immutable file is read past all locks: what somebody holds is not tried that way."""
    if primary_code(error) in _LOCKED:
        raise unreadable(path, error) from error


def _with_advice(error: Exception) -> str:
    if is_damage(error):
        return f"{error}; {REPAIR_HINT}"
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED:
        return f"{error} by another program"
    return str(error)


def _switch_to_wal(connection: sqlite3.Connection) -> bool:
    try:
        return bool(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal")
    except sqlite3.OperationalError as error:
        if primary_code(error) not in _NO_SHARED_MEMORY:
            raise
        return False


def _switch_to_rollback_journal(connection: sqlite3.Connection) -> None:
    """A file that somebody else has open in WAL mode stays as it is."""
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if primary_code(error) in _LOCKED:
            return
        if primary_code(error) not in _NO_SHARED_MEMORY:
            raise
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # the log's index is then in private memory
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA locking_mode=NORMAL")
        _look(connection)  # the next access lets go of the lock


def _opened(uri: str) -> ReadConnection:
    connection = _connect(uri)
    try:
        _look(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _opened_after_recovery(path: Path, uri: str) -> ReadConnection:
    writer = _connect(uri.replace("?mode=ro", "?mode=rw"))
    try:
        if network_file_system(path) is not None:
            _switch_to_rollback_journal(writer)
        _look(writer)
    finally:
        writer.close()
    return _opened(uri)


def _look(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _is_filled(path: Path, suffix: str) -> bool:
    real = Path(os.path.realpath(path))
    with suppress(OSError):
        return real.with_name(real.name + suffix).stat().st_size > 0
    return False


def _connect(uri: str) -> ReadConnection:
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000, factory=ReadConnection
        )
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
        raise no_such_database(path) from None
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
