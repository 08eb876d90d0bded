"""Take a session file into a database: all of it in one transaction, or nothing."""

import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.sharing.archive import opened
from engine.sharing.layout import RUN_TABLES
from engine.sharing.staging import stage
from engine.spec import RunSpec, VectorInit
from engine.store.connection import connect, unwritable
from engine.store.records import Status
from engine.store.schema import prepare
from engine.store.writing import who

_ENDED_BY_LEAVING = (Status.QUEUED, Status.LOADING, Status.RUNNING)
_OWN_OF_A_MACHINE = ("worker_pid", "worker_start", "heartbeat")
_NOWHERE = 0
"""Stands for a run that the file does not hold; no run has this number."""


@dataclass(frozen=True)
class Imported:
    """What has come of a session file."""

    session: str
    """Its name here."""
    runs: Mapping[int, int]
    """Numbers of its runs here, by those that they had where they come from."""


def import_session(
    path: Path, database: Path, *, session: str | None = None, again: bool = False
) -> Imported:
    """Add the session of a file to a database, under new numbers.

    What names a run by its number is changed along: parents, starts from a stored z, tasks. A run that was
    going on is `stopped`, what was asked for and not yet answered is ended; each run has an event about it.

    Args:
        path: The file.
        database: Where it is added; made if it is not there.
        session: Another name for the session. By default its own, with a number if that is taken.
        again: Add it although it is there already.

    Raises:
        UserError: the file cannot be used, there is a session of that name, it was imported before, or the
            database cannot be written. Nothing is changed then.
    """
    if session is not None and not session.strip():
        raise UserError("session: a name is needed")
    with opened(path) as archive, _staging_folder(database, archive.size) as folder:
        staged = folder / "session.db"
        stage(archive, staged)
        prepare(database)
        connection = connect(database)
        try:
            connection.execute("ATTACH DATABASE ? AS incoming", (str(staged),))
            connection.execute("BEGIN IMMEDIATE")
            if not again:
                _check_is_new(connection, path, archive.digest)
            imported = _adopt(connection, path, archive.digest, session)
            connection.execute("COMMIT")
            return imported
        except sqlite3.DatabaseError as error:
            raise unwritable(database, error) from error
        finally:
            connection.close()  # which takes back what was not committed


@contextmanager
def _staging_folder(database: Path, size: int) -> Iterator[Path]:
    """A folder beside the database, for as long as it is needed."""
    folder = database.resolve().parent
    try:
        free = shutil.disk_usage(folder).free
        if free < 3 * size:  # once more beside the database, and in its log
            raise UserError(f"import: needs {3 * size} bytes of disk in {folder}, where {free} are free")
        made = tempfile.TemporaryDirectory(dir=folder, prefix=f".{database.name}.import-")
    except OSError as error:
        raise UserError(f"database: {database}: cannot be written: {error.strerror or error}") from error
    with made as name:
        yield Path(name)


def _check_is_new(connection: sqlite3.Connection, path: Path, digest: str) -> None:
    before = connection.execute(
        "SELECT name FROM main.session WHERE imported = ? AND deleted IS NULL", (digest,)
    ).fetchone()
    if before is not None:
        raise UserError(
            f"import: {path}: is here already, as session {before[0]!r}; --again adds it once more"
        )


def _adopt(connection: sqlite3.Connection, path: Path, digest: str, wanted: str | None) -> Imported:
    sessions = _objects(connection, "SELECT * FROM incoming.session")
    if len(sessions) != 1:
        raise UserError(f"import: {path}: holds {len(sessions)} sessions; one is allowed")
    name = _free_name(connection, str(sessions[0]["name"]), wanted)
    changes = {"id": None, "name": name, "archived": 0, "deleted": None, "imported": digest}
    home = _insert(connection, "session", sessions[0] | changes)
    runs = _objects(connection, "SELECT * FROM incoming.run ORDER BY id")
    numbers = {run["id"]: _insert(connection, "run", _as_here(run, home)) for run in runs}
    connection.execute("CREATE TEMP TABLE numbers (there INTEGER PRIMARY KEY, here INTEGER NOT NULL)")
    connection.executemany("INSERT INTO numbers VALUES (?, ?)", numbers.items())
    for table, order in RUN_TABLES.items():
        _copy(connection, table, order)
    for run in runs:
        _connect_run(connection, run, numbers)
    _end_what_was_asked_for(connection, home)
    _remap_tasks(connection, home, numbers)
    _note(connection, path.name, str(sessions[0]["name"]), runs, numbers)
    return Imported(name, numbers)


def _free_name(connection: sqlite3.Connection, own: str, wanted: str | None) -> str:
    taken = {name for (name,) in connection.execute("SELECT name FROM main.session")}
    if wanted is not None:
        if wanted in taken:
            raise UserError(f"session: there is a session {wanted!r} already; give another name")
        return wanted
    return next(name for name in (own if n == 1 else f"{own} ({n})" for n in count(1)) if name not in taken)


def _as_here(run: Mapping[str, Any], home: int) -> dict[str, Any]:
    changes: dict[str, Any] = {"id": None, "session_id": home, "parent_run": None, "deleted": None}
    if run["status"] in _ENDED_BY_LEAVING:
        changes["status"] = Status.STOPPED
        changes["ended"] = run["heartbeat"] or run["started"] or run["created"]
    return {**run, **changes, **dict.fromkeys(_OWN_OF_A_MACHINE)}


def _copy(connection: sqlite3.Connection, table: str, order: str) -> None:
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})") if name != "id"]
    values = ["numbers.here" if name == "run" else f"rows.{name}" for name in columns]
    connection.execute(
        f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM incoming.{table} AS rows JOIN numbers ON numbers.there = rows.run"
        f" ORDER BY {', '.join(f'rows.{name}' for name in order.split(', '))}"
    )


def _connect_run(connection: sqlite3.Connection, run: Mapping[str, Any], numbers: Mapping[int, int]) -> None:
    """Let a run name its parent, and the run whose z it starts from, by their numbers here.

    A z of a run that the file does not hold is stored with the run that starts from it, as its own first.
    """
    here = numbers[run["id"]]
    if run["parent_run"] in numbers:
        connection.execute(
            "UPDATE main.run SET parent_run = ? WHERE id = ?", (numbers[run["parent_run"]], here)
        )
    spec = RunSpec.model_validate_json(run["spec"])
    if isinstance(spec.init, VectorInit):
        there = numbers.get(spec.init.run)
        start = VectorInit(run=here, step=0) if there is None else VectorInit(run=there, step=spec.init.step)
        text = json.loads(run["spec"]) | {"init": start.model_dump()}
        connection.execute(
            "UPDATE main.run SET spec = ?, init = ? WHERE id = ?", (json.dumps(text), str(start), here)
        )


def _end_what_was_asked_for(connection: sqlite3.Connection, home: int) -> None:
    """Nobody here asked for it, and no worker here is to obey it."""
    of_runs = "run IN (SELECT id FROM main.run WHERE session_id = :home)"
    reason = "was not yet done when the session was handed on"
    key = {"home": home, "reason": reason, "now": time.time()}
    connection.execute(
        "UPDATE main.command SET status = 'rejected', reason = :reason"
        f" WHERE status = 'pending' AND {of_runs}",
        key,
    )
    connection.execute(
        "UPDATE main.task SET status = 'cancelled', error = :reason, ended = coalesce(ended, :now)"
        f" WHERE status IN ('pending', 'running') AND {of_runs}",
        key,
    )
    connection.execute(f"UPDATE main.task SET worker_pid = NULL, worker_start = NULL WHERE {of_runs}", key)


def _remap_tasks(connection: sqlite3.Connection, home: int, numbers: Mapping[int, int]) -> None:
    """The rows between which was interpolated are [run, step]."""
    for task, text in connection.execute(
        "SELECT id, arguments FROM main.task WHERE run IN (SELECT id FROM main.run WHERE session_id = ?)",
        (home,),
    ).fetchall():
        arguments = json.loads(text)
        for end in ("from", "to"):
            match arguments.get(end):
                case [int(run), step]:
                    arguments[end] = [numbers.get(run, _NOWHERE), step]
        connection.execute("UPDATE main.task SET arguments = ? WHERE id = ?", (json.dumps(arguments), task))


def _note(
    connection: sqlite3.Connection,
    file: str,
    session: str,
    runs: list[dict[str, Any]],
    numbers: Mapping[int, int],
) -> None:
    for run in runs:
        details = [f"from {file}: was run {run['id']} of session {session}"]
        if run["status"] in _ENDED_BY_LEAVING:
            details.append(f"was {run['status']}")
        if run["parent_run"] is not None and run["parent_run"] not in numbers:
            details.append(f"its parent, run {run['parent_run']} of another session, is not in the file")
        spec = RunSpec.model_validate_json(run["spec"])
        if isinstance(spec.init, VectorInit) and spec.init.run not in numbers:
            details.append(f"its start, the {spec.init}, is not in the file")
        connection.execute(
            "INSERT INTO main.event (run, time, kind, detail, who) VALUES (?, ?, 'imported', ?, ?)",
            (numbers[run["id"]], time.time(), "; ".join(details), who()),
        )


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    cursor = connection.execute(
        f"INSERT INTO main.{table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
        tuple(row.values()),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _objects(connection: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
