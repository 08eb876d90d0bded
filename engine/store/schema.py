"""Create a database, or bring an older one up to date."""

import os
import sqlite3
from pathlib import Path

from filelock import FileLock

from engine.errors import UserError
from engine.store.connection import connect_read_only, unwritable

SCHEMA = "0001"
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

    Before an older database is migrated, a copy of it is put beside it as `NAME.before-REVISION`.

    Raises:
        UserError: the file cannot be created or written, is no database of this program, or is newer.
    """
    if _revision(path) == SCHEMA:
        return
    if not path.parent.is_dir():  # the lock would make the folder
        raise UserError(f"database: {path}: cannot be written: there is no folder {path.parent}")
    try:
        with FileLock(f"{path}.lock"):
            revision = _revision(path)
            if revision == SCHEMA:
                return
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            if revision is not None:
                _back_up(path, path.with_name(f"{path.name}.before-{SCHEMA}"))
            _migrate(path)
    except OSError as error:
        raise unwritable(path, error) from error


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


def _migrate(path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from engine.store.orm import open_engine

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with open_engine(path).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, SCHEMA)


def _back_up(path: Path, copy: Path) -> None:
    source, target = connect_read_only(path), sqlite3.connect(copy)
    try:
        copy.chmod(0o600)
        source.backup(target)
    finally:
        source.close()
        target.close()
