"""What changes a run, in an open transaction, and what of it is in force."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.store.records import Status

QUEUED = (
    "FROM run JOIN session ON session.id = run.session_id"
    " WHERE device = ? AND status = 'queued' AND run.deleted IS NULL AND session.deleted IS NULL"
)
"""The queued runs of a device, with their sessions."""


@dataclass(frozen=True)
class Event:
    """An event to be recorded: its kind and one line about it."""

    kind: str
    detail: str = ""
    who: str = "worker"


@dataclass(frozen=True)
class InForce:
    """What a run was asked for, and what of it has been changed since."""

    spec: str
    """RunSpec as JSON, as it was asked for"""
    lr: float
    steps: int
    weights: Mapping[str, float] | None
    """None: the spec's."""
    schedules: Mapping[str, str] | None
    """None: the spec's."""
    break_points: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What a row was made with that may change from row to row."""

    step: int
    lr: float
    weights: Mapping[str, float] | None
    """None: the spec's."""


def add_event(connection: sqlite3.Connection, run: int, step: int | None, event: Event) -> None:
    """Record an event in an open transaction."""
    connection.execute(
        "INSERT INTO event (run, step, time, kind, detail, who) VALUES (?, ?, ?, ?, ?, ?)",
        (run, step, time.time(), event.kind, event.detail, event.who),
    )


def set_status(
    connection: sqlite3.Connection,
    run: int,
    status: Status,
    *,
    keep_worker: bool = False,
    error: str | None = None,
) -> None:
    """Say how a run stands; without `keep_worker` no process holds it any more."""
    connection.execute(
        "UPDATE run SET status = ?, error = ?, ended = iif(?, ?, NULL) WHERE id = ?",
        (status, error, status.has_ended, time.time(), run),
    )
    if not keep_worker:
        connection.execute("UPDATE run SET worker_pid = NULL, worker_start = NULL WHERE id = ?", (run,))


def set_break_points(connection: sqlite3.Connection, run: int, conditions: Sequence[str], who: str) -> None:
    """Have a run pause under these conditions and no others."""
    connection.execute(
        "DELETE FROM break_point WHERE run = ? AND condition NOT IN (SELECT value FROM json_each(?))",
        (run, json.dumps(list(conditions))),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO break_point (run, condition, created, who) VALUES (?, ?, ?, ?)",
        [(run, condition, time.time(), who) for condition in conditions],
    )


def add_checkpoint(connection: sqlite3.Connection, run: int, step: int, data: bytes) -> None:
    """Keep the state before the update of a step, in an open transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO checkpoint (run, step, created, data) VALUES (?, ?, ?, ?)",
        (run, step, time.time(), data),
    )


def prune_checkpoints(connection: sqlite3.Connection, run: int) -> None:
    """Drop all checkpoints of a run but the last one."""
    # The state that a fork began with is its parent's, and nobody else may have it any more.
    connection.execute(
        "DELETE FROM checkpoint WHERE run = :run"
        " AND step < (SELECT max(step) FROM checkpoint WHERE run = :run)"
        " AND step IS NOT (SELECT parent_step FROM run WHERE id = :run)",
        {"run": run},
    )


def in_force(connection: sqlite3.Connection, run: int) -> InForce:
    """What a run was asked for, and what of it has been changed since."""
    spec, lr, steps, weights, schedules = connection.execute(
        "SELECT spec, lr, steps, weights, schedules FROM run WHERE id = ?", (run,)
    ).fetchone()
    conditions = connection.execute(
        "SELECT condition FROM break_point WHERE run = ? ORDER BY id", (run,)
    ).fetchall()
    return InForce(
        spec,
        lr,
        steps,
        None if weights is None else json.loads(weights),
        None if schedules is None else json.loads(schedules),
        tuple(condition for (condition,) in conditions),
    )


def next_step(connection: sqlite3.Connection, run: int) -> int:
    """The step with which a run that no worker holds goes on.

    That is the one after its last row: rows beyond the last checkpoint are made again with what they were
    made with. But for one from which no update was made: a run goes back to its checkpoint from a last row
    that is not finite.
    """
    last = connection.execute(
        "SELECT step, lr FROM step WHERE run = ? ORDER BY step DESC LIMIT 1", (run,)
    ).fetchone()
    checkpoint = _checkpoint_step(connection, run)
    return checkpoint if last is None or last[1] is None else max(checkpoint, int(last[0]) + 1)


def recorded_settings(connection: sqlite3.Connection, run: int) -> tuple[Settings, ...]:
    """What the rows were made with that a run makes again when it goes on from its last checkpoint."""
    rows = connection.execute(
        "SELECT step, lr, weights FROM step WHERE run = ? AND step >= ? AND step < ? ORDER BY step",
        (run, _checkpoint_step(connection, run), next_step(connection, run)),
    ).fetchall()
    return tuple(
        Settings(step, lr, None if weights is None else json.loads(weights))
        for step, lr, weights in rows
        if lr is not None
    )


def _checkpoint_step(connection: sqlite3.Connection, run: int) -> int:
    row = connection.execute("SELECT max(step) FROM checkpoint WHERE run = ?", (run,)).fetchone()
    return int(row[0] or 0)
