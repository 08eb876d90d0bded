"""What viewers do with what is recorded: name it, describe it, put it away, delete it, get rid of it.

Deleting is soft. A run or session that is deleted has the time in its column `deleted`: nobody sees it any
more, and it can be had back. `purge` makes that final and gives the space back to the file system; `deleted`
is 0 from then on, so that a purge that was cut short is finished by the next one. A session that is deleted
carries its id behind a line break in its name, which is free for another one.
"""

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import process
from engine.errors import UserError
from engine.names import checked_name, checked_tags
from engine.store.connection import connect, connect_read_only, unwritable
from engine.store.copies import no_such_database
from engine.store.records import Status
from engine.store.schema import prepare

RETENTION_S = 24 * 3600.0
"""What was deleted by a program that did not live to purge it can be had back for so long."""

MOST_NOTES = 100_000
"""Characters of a session's notes."""

_SLICE_ROWS = 2_000
_SLICE_PAGES = 1_000
"""Most that one transaction of a purge removes: a worker waits for its turn a tenth of a second."""

_PATIENCE_MS = 1_000
_HELD = tuple(str(status) for status in Status if status.is_held_by_worker)
_INCREMENTAL = 2

_OF_RUN = {
    "vector": "rowid",
    "decoded_text": "rowid",
    "step": "step",
    "checkpoint": "rowid",
    "event": "rowid",
}
"""Tables that may hold much of a run, and the column by which a slice of its rows is picked."""


def rename_session(path: Path, session: int, name: str) -> None:
    """Give a session another name.

    Raises:
        UserError: the name cannot be had, there is no such session, or the database cannot be written;
            nothing is changed then. So it is with all functions here.
    """
    name = checked_name("session", name)
    with _transaction(path) as connection:
        _check_session(connection, session)
        taken = connection.execute(
            "SELECT 1 FROM session WHERE name = ? AND id != ?", (name, session)
        ).fetchone()
        if taken:
            raise UserError(f"session: {name[:40]!r}: there is one of that name")
        connection.execute("UPDATE session SET name = ? WHERE id = ?", (name, session))


def set_notes(path: Path, session: int, notes: str) -> None:
    """Replace a session's notes (Markdown)."""
    if len(notes) > MOST_NOTES:
        raise UserError(f"notes: {len(notes)} characters: {MOST_NOTES} are allowed")
    if any("\ud800" <= character <= "\udfff" for character in notes):
        raise UserError("notes: hold bytes that are no UTF-8")
    with _transaction(path) as connection:
        _check_session(connection, session)
        connection.execute("UPDATE session SET notes = ? WHERE id = ?", (notes, session))


def set_tags(path: Path, session: int, tags: Iterable[str]) -> None:
    """Replace a session's tags."""
    kept = checked_tags(tags)
    with _transaction(path) as connection:
        _check_session(connection, session)
        connection.execute("UPDATE session SET tags = ? WHERE id = ?", (json.dumps(kept), session))


def set_archived(path: Path, session: int, archived: bool) -> None:
    """Put a session away, or take it out again; the next run that is put into it takes it out too."""
    with _transaction(path) as connection:
        _check_session(connection, session)
        connection.execute("UPDATE session SET archived = ? WHERE id = ?", (archived, session))


def rename_run(path: Path, run: int, name: str | None) -> None:
    """Give a run another name, or none."""
    name = None if name is None else checked_name("name", name)
    with _transaction(path) as connection:
        _rename(connection, run, name)


def move_run(path: Path, run: int, session: str) -> None:
    """Put a run into another session, which is made if there is none of that name; it gets a number there.

    An archived session is taken out of the archive, as it is by a new run.
    """
    session = checked_name("session", session)
    with _transaction(path) as connection:
        _move(connection, run, session)


def rename_and_move_run(path: Path, run: int, name: str | None, session: str) -> None:
    """Do both or, where either is refused, neither."""
    name = None if name is None else checked_name("name", name)
    session = checked_name("session", session)
    with _transaction(path) as connection:
        _rename(connection, run, name)
        _move(connection, run, session)


def delete_run(path: Path, run: int) -> None:
    """Delete a run that no worker holds; `restore_run` brings it back."""
    with _transaction(path) as connection:
        _check_run(connection, run)
        _check_is_free(connection, "run.id = ?", run)
        connection.execute("UPDATE run SET deleted = ? WHERE id = ?", (time.time(), run))


def delete_session(path: Path, session: int) -> None:
    """Delete a session and the runs in it, none of which a worker holds; `restore_session` undoes it."""
    with _transaction(path) as connection:
        _check_session(connection, session)
        _check_is_free(connection, "run.session_id = ? AND run.deleted IS NULL", session)
        connection.execute(
            "UPDATE session SET deleted = ?, name = name || char(10) || id WHERE id = ?",
            (time.time(), session),
        )


def restore_run(path: Path, run: int) -> None:
    """Bring a deleted run back."""
    with _transaction(path) as connection:
        row = connection.execute(
            "UPDATE run SET deleted = NULL WHERE id = ? AND deleted > 0"
            " AND (SELECT deleted FROM session WHERE id = session_id) IS NULL RETURNING id",
            (run,),
        ).fetchone()
        if row is None:
            raise UserError(f"run {run}: is not deleted, or gone for good")


def restore_session(path: Path, session: int) -> str:
    """Bring a deleted session back.

    Returns:
        Its name: the one that it had, with a number where there is another session of that name now.
    """
    with _transaction(path) as connection:
        row = connection.execute(
            "SELECT name FROM session WHERE id = ? AND deleted > 0", (session,)
        ).fetchone()
        if row is None:
            raise UserError(f"session {session}: is not deleted, or gone for good")
        name = _free_name(connection, str(row[0]).partition("\n")[0])
        connection.execute("UPDATE session SET deleted = NULL, name = ? WHERE id = ?", (name, session))
        return name


@dataclass(frozen=True)
class Deleted:
    """Something that is deleted and can be had back."""

    kind: str
    """run or session"""
    id: int
    title: str
    """`session/number` of a run, the name of a session."""
    deleted: float


def restorable(path: Path) -> list[Deleted]:
    """What is deleted and can be had back, the last deleted first."""
    with _connected(path) as connection:
        rows = connection.execute(
            "SELECT 'run', run.id, session.name || '/' || number, run.deleted FROM run"
            " JOIN session ON session.id = session_id WHERE run.deleted > 0 AND session.deleted IS NULL"
            " UNION ALL SELECT 'session', id, name, deleted FROM session WHERE deleted > 0 ORDER BY 4 DESC"
        ).fetchall()
    return [Deleted(kind, key, title.partition("\n")[0], deleted) for kind, key, title, deleted in rows]


@dataclass(frozen=True)
class Purged:
    """What a purge did."""

    runs: int
    """How many runs are gone."""
    freed_bytes: int
    """How much smaller the file is."""


def is_purge_due(path: Path) -> bool:
    """Whether there is something to remove that nobody can have back; looking changes nothing."""
    try:
        connection = connect_read_only(path)
    except UserError:
        return False
    try:
        due = "SELECT 1 FROM {} WHERE deleted < ?"
        return (
            connection.execute(
                f"{due.format('run')} UNION ALL {due.format('session')} LIMIT 1",
                (time.time() - RETENTION_S,) * 2,
            ).fetchone()
            is not None
        )
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def purge(path: Path, *, runs: Collection[int] = (), sessions: Collection[int] = ()) -> Purged:
    """Remove what is deleted for good, and make the file smaller.

    These runs and sessions are removed if they are deleted, whatever an earlier purge began, and what was
    deleted longer than `RETENTION_S` ago. It goes in slices, between which a worker writes on. A database
    that an older version made has to be rewritten once to become smaller: that takes the time to copy it,
    and is put off while a worker is alive.
    """
    with _connected(path) as connection:
        before = path.stat().st_size
        doomed = _condemn(connection, runs, sessions)
        for run in doomed:
            _remove_run(connection, run)
        connection.execute(
            "DELETE FROM session WHERE deleted = 0"
            " AND NOT EXISTS (SELECT 1 FROM run WHERE session_id = session.id)"
        )
        if doomed:
            _shrink(connection)
        return Purged(len(doomed), max(before - path.stat().st_size, 0))


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():  # preparing would make it
        raise no_such_database(path)
    prepare(path)
    connection = connect(path)
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        raise unwritable(path, error) from error
    finally:
        connection.close()


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    with _connected(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _check_session(connection: sqlite3.Connection, session: int) -> None:
    row = connection.execute("SELECT 1 FROM session WHERE id = ? AND deleted IS NULL", (session,)).fetchone()
    if row is None:
        raise UserError(f"session {session}: there is none, or it is deleted")


def _check_run(connection: sqlite3.Connection, run: int) -> int:
    """The id of the run's session."""
    row = connection.execute(
        "SELECT session_id FROM run JOIN session ON session.id = session_id"
        " WHERE run.id = ? AND run.deleted IS NULL AND session.deleted IS NULL",
        (run,),
    ).fetchone()
    if row is None:
        raise UserError(f"run {run}: there is none, or it is deleted")
    return int(row[0])


def _rename(connection: sqlite3.Connection, run: int, name: str | None) -> None:
    _check_run(connection, run)
    connection.execute("UPDATE run SET name = ? WHERE id = ?", (name, run))


def _move(connection: sqlite3.Connection, run: int, session: str) -> None:
    home = _check_run(connection, run)
    row = connection.execute("SELECT id FROM session WHERE name = ?", (session,)).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO session (name, created, notes) VALUES (?, ?, '') RETURNING id",
            (session, time.time()),
        ).fetchone()
    if row[0] != home:
        connection.execute(
            "UPDATE run SET session_id = :to,"
            " number = (SELECT coalesce(max(number), 0) + 1 FROM run WHERE session_id = :to)"
            " WHERE id = :run",
            {"to": row[0], "run": run},
        )
        connection.execute("UPDATE session SET archived = 0 WHERE id = ?", row)


def _check_is_free(connection: sqlite3.Connection, which: str, key: int) -> None:
    """Refuse where a living worker has a run in hand, or works something out about it."""
    for run, status, pid, start, heartbeat in connection.execute(
        "SELECT id, status, worker_pid, worker_start, heartbeat FROM run"
        f" WHERE {which} AND worker_pid IS NOT NULL AND status IN {_HELD}",
        (key,),
    ):
        if not process.is_gone(pid, start, heartbeat):
            raise UserError(f"run {run}: is {status}, and its worker holds it: stop it first")
    for run, kind, pid, start in connection.execute(
        "SELECT run.id, task.kind, task.worker_pid, task.worker_start FROM task JOIN run ON run.id = task.run"
        f" WHERE {which} AND task.status = 'running'",
        (key,),
    ):
        if process.is_alive(pid, start):
            raise UserError(f"run {run}: its worker is busy with it ({kind}): wait until that is done")


def _free_name(connection: sqlite3.Connection, name: str) -> str:
    candidate, number = name, 1
    while connection.execute("SELECT 1 FROM session WHERE name = ?", (candidate,)).fetchone():
        number += 1
        candidate = f"{name} ({number})"
    return candidate


def _condemn(connection: sqlite3.Connection, runs: Collection[int], sessions: Collection[int]) -> list[int]:
    """Make it final what is to be removed; the runs that go."""
    connection.execute("BEGIN IMMEDIATE")
    for table, keys in (("run", runs), ("session", sessions)):
        connection.execute(
            f"UPDATE {table} SET deleted = 0"
            " WHERE deleted < ? OR deleted > 0 AND id IN (SELECT value FROM json_each(?))",
            (time.time() - RETENTION_S, json.dumps(list(keys))),
        )
    doomed = connection.execute(
        "SELECT id FROM run WHERE deleted = 0 OR session_id IN (SELECT id FROM session WHERE deleted = 0)"
    ).fetchall()
    connection.execute("COMMIT")
    return [run for (run,) in doomed]


def _remove_run(connection: sqlite3.Connection, run: int) -> None:
    for table, key in _OF_RUN.items():
        removed = _SLICE_ROWS
        while removed == _SLICE_ROWS:
            removed = connection.execute(
                f"DELETE FROM {table} WHERE run = :run AND {key} IN"
                f" (SELECT {key} FROM {table} WHERE run = :run LIMIT {_SLICE_ROWS})",
                {"run": run},
            ).rowcount
    connection.execute("DELETE FROM run WHERE id = ?", (run,))


def _shrink(connection: sqlite3.Connection) -> None:
    """Give free pages back to the file system."""
    # What is deleted from a full-text index is only marked, until the segments that hold it are merged.
    connection.execute("INSERT INTO decoded_text_index (decoded_text_index) VALUES ('optimize')")
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL:
        while connection.execute("PRAGMA freelist_count").fetchone()[0]:
            # As a script: a page is freed at each step, and `execute` makes one step only.
            connection.executescript(f"PRAGMA incremental_vacuum({_SLICE_PAGES})")
    elif not _has_worker(connection):
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("VACUUM")
    connection.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")
    # Where others read, the file shrinks a little later.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _has_worker(connection: sqlite3.Connection) -> bool:
    workers = connection.execute("SELECT pid, start FROM worker").fetchall()
    return any(process.is_alive(pid, start) for pid, start in workers)
