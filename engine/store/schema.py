"""Create a database, or bring an older one up to date."""

import os
import sqlite3
from contextlib import nullcontext
from pathlib import Path

from engine.errors import UserError
from engine.store.connection import connect_read_only, unwritable
from engine.store.copies import copy_database
from engine.store.filesystem import takes_locks

SCHEMA = "0004"
"""The newest revision in `migrations/versions`; revisions sort as text."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def schema_revision(connection: sqlite3.Connection) -> str | None:
    """The revision of an open database; None for an empty one.

    Raises:
        UserError: the database was made by another program.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise UserError("the file is an SQLite database of another program")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def prepare(path: Path) -> None:
    """Make a database ready for writing: create it (mode 0600) or migrate it, under a lock.

    Before an older database is migrated, a copy of it is put beside it: `NAME.backup-1` for revision 0001.

    Raises:
        UserError: the file cannot be created or written, is no database of this program, or is newer.
    """
    if _revision(path) == SCHEMA:
        return
    from filelock import FileLock  # its import is not for those who only read

    path = Path(os.path.realpath(path))  # by whatever name it was asked for, there is one lock
    if not path.parent.is_dir():  # the lock would make the folder
        raise UserError(f"database: {path}: cannot be written: there is no folder {path.parent}")
    try:
        with FileLock(f"{path}.lock") if takes_locks(path.parent) else nullcontext():
            revision = _revision(path)
            if revision == SCHEMA:
                return
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            copy = None if revision is None else _back_up(path, f"{path.name}.backup-{int(revision)}")
            try:
                migrate(path)
            except UserError:
                if copy is not None and _revision(path) == revision:
                    copy.unlink()  # of a database that is as it was
                raise
    except (OSError, sqlite3.DatabaseError) as error:
        raise unwritable(path, error) from error


def bring_up_to_date(path: Path, revision: str) -> None:
    """Migrate an older database for somebody who wants to read it.

    Raises:
        UserError: it cannot be written, and this program reads the newest schema only.
    """
    try:
        prepare(path)
    except UserError as error:
        raise UserError(
            f"{error}; it has schema {revision} and has to be brought to {SCHEMA} first"
        ) from error


def newer(path: Path, revision: str) -> UserError:
    """The one line for a database that a newer program wrote."""
    return UserError(
        f"database: {path}: has schema {revision}, newer than this program's {SCHEMA}: "
        "it can be read, but not written; install a newer sonar-explore"
    )


def _revision(path: Path) -> str | None:
    if not path.exists():
        return None
    connection = connect_read_only(path)
    try:
        revision = schema_revision(connection)
    except UserError as error:
        raise UserError(f"database: {path}: {error}") from None
    finally:
        connection.close()
    if revision is not None and revision > SCHEMA:
        raise newer(path, revision)
    return revision


def migrate(path: Path, revision: str = SCHEMA) -> None:
    """Bring a database, empty or older, to a revision, in one transaction and without a copy.

    Raises:
        UserError: it cannot be written.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DatabaseError

    from engine.store.orm import open_engine

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    try:
        with open_engine(path).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except DatabaseError as error:
        raise unwritable(path, error.orig or error) from error


def _back_up(path: Path, name: str) -> Path:
    """Copy a database to a file of this name beside it; a copy that is there already stays."""
    source = connect_read_only(path)
    try:
        return copy_database(source, path, name)
    finally:
        source.close()
