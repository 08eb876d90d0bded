"""Read a database: the one reader behind live view, replay, comparison and export.

Plain sqlite3 in a read-only connection: looking never changes a file, costs no ORM, and starts fast.
"""

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine import process
from engine.errors import UserError
from engine.store.connection import connect_read_only, unreadable
from engine.store.records import (
    BreakPointRecord,
    CommandRecord,
    EventRecord,
    RunRecord,
    SessionRecord,
    Status,
    StepRecord,
    WorkerRecord,
)
from engine.store.schema import SCHEMA, bring_up_to_date, newer, schema_revision
from engine.store.vectors import VectorArray, unpack

Row = tuple[Any, ...]
T = TypeVar("T")

_RUN_COLUMNS = """
    run.id, session.name, run.number, run.name, run.spec, run.init, run.target, run.loss_name, run.bundle,
    run.bundle_digest, run.steps, run.status, run.origin, run.parent_run, run.parent_step, run.device,
    run.seed, run.worker_pid, run.heartbeat, run.error, run.created, run.started, run.ended,
    last.step, last.loss, last.similarity, run.lr, last.z_norm, decoded.match, decoded.decoded_prediction,
    (SELECT step FROM step WHERE step.run = run.id AND match = 1 ORDER BY step LIMIT 1),
    run.weights,
    (SELECT json_group_array(condition) FROM (
        SELECT condition FROM break_point WHERE break_point.run = run.id ORDER BY break_point.id
    )),
    run.environment,
    run.worker_start
"""

_RUN_TABLES = """
    run JOIN session ON session.id = run.session_id
        AND run.deleted IS NULL AND session.deleted IS NULL
    LEFT JOIN step AS last
        ON last.run = run.id AND last.step = (SELECT max(step) FROM step WHERE step.run = run.id)
    LEFT JOIN step AS decoded
        ON decoded.run = run.id AND decoded.step = (
            SELECT step FROM step
            WHERE step.run = run.id AND decoded_prediction IS NOT NULL ORDER BY step DESC LIMIT 1
        )
"""

SELECT_COMMAND = (
    "SELECT id, run, device, kind, arguments, requested, who, status, applied_step, reason FROM command"
)

STEP_COLUMNS = (
    "run, step, loss, terms, similarity, grad_norm, z_norm, lr, elapsed_ms, "
    "decoded_z, decoded_prediction, match, state_hash"
)


class Reader:
    """Read-only view of one database. One thread at a time may use it; open one for each thread."""

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
        self.notice: str | None = None
        """A line that the user should see although reading works."""
        if revision > SCHEMA:
            self.notice = str(newer(path, revision))

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
        return int(self._rows("PRAGMA data_version")[0][0])

    def sessions(self) -> list[SessionRecord]:
        """All sessions that are not deleted, oldest first."""
        return [
            SessionRecord(key, name, created, notes, tuple(json.loads(tags)), bool(archived), runs)
            for key, name, created, notes, tags, archived, runs in self._rows(
                "SELECT id, name, created, notes, tags, archived,"
                " (SELECT count(*) FROM run WHERE session_id = session.id AND run.deleted IS NULL)"
                " FROM session WHERE deleted IS NULL ORDER BY id"
            )
        ]

    def runs(self, session: str | None = None) -> list[RunRecord]:
        """All runs that are not deleted, or those of one session, oldest first."""
        where, arguments = ("WHERE session.name = ?", (session,)) if session is not None else ("", ())
        rows = self._rows(f"SELECT {_RUN_COLUMNS} FROM {_RUN_TABLES} {where} ORDER BY run.id", arguments)
        return [_run_record(row) for row in rows]

    def run(self, run_id: int) -> RunRecord:
        """One run.

        Raises:
            UserError: there is no such run.
        """
        rows = self._rows(f"SELECT {_RUN_COLUMNS} FROM {_RUN_TABLES} WHERE run.id = ?", (run_id,))
        if not rows:
            raise UserError(f"run: there is no run {run_id} in {self.path}")
        return _run_record(rows[0])

    def steps(self, run_id: int, *, after: int = -1, limit: int = 1000) -> list[StepRecord]:
        """At most `limit` rows of a trajectory beyond step `after`, in order."""
        rows = self._rows(
            f"SELECT {STEP_COLUMNS} FROM step WHERE run = ? AND step > ? ORDER BY step LIMIT ?",
            (run_id, after, limit),
        )
        return step_records(rows)

    def last_steps(self, run_id: int, *, before: int = sys.maxsize, limit: int = 1000) -> list[StepRecord]:
        """At most `limit` rows from the end of a trajectory, or of what comes before a step, in order."""
        rows = self._rows(
            f"SELECT {STEP_COLUMNS} FROM step WHERE run = ? AND step < ? ORDER BY step DESC LIMIT ?",
            (run_id, before, limit),
        )
        return step_records(rows[::-1])

    def all_steps(self, run_id: int) -> Iterator[StepRecord]:
        """The whole trajectory, read in bounded chunks."""
        after = -1
        while chunk := self.steps(run_id, after=after):
            yield from chunk
            after = chunk[-1].step

    def loss_curve(self, run_id: int, points: int) -> list[float | None]:
        """Mean loss in at most `points` buckets of equal length, for a sparkline; None: nothing finite."""
        rows = self._rows(
            "SELECT avg(loss) FROM step,"
            " (SELECT min(step) AS low, max(step) - min(step) + 1 AS length FROM step WHERE run = :run)"
            " WHERE run = :run GROUP BY (step - low) * min(:points, length) / length ORDER BY step",
            {"run": run_id, "points": points},
        )
        return [value for (value,) in rows]

    def events(self, run_id: int, *, after: int = 0) -> list[EventRecord]:
        """Events of a run with an id above `after`, in order."""
        rows = self._rows(
            "SELECT id, run, step, time, kind, detail, who FROM event WHERE run = ? AND id > ? ORDER BY id",
            (run_id, after),
        )
        return [EventRecord(*row) for row in rows]

    def break_points(self, run_id: int) -> list[BreakPointRecord]:
        """The conditions under which a run pauses, in the order in which they were set."""
        rows = self._rows(
            "SELECT id, run, condition, created, who FROM break_point WHERE run = ? ORDER BY id", (run_id,)
        )
        return [BreakPointRecord(*row) for row in rows]

    def token_losses(self, run_id: int, step: int) -> tuple[float | None, ...] | None:
        """Cross-entropy of each token of the target in a row, in nats; see `engine.tokens.target_pieces`.

        None: there is no such row, or they were not computed for it. None in place of one: not finite.
        """
        rows = self._rows("SELECT token_losses FROM step WHERE run = ? AND step = ?", (run_id, step))
        return tuple(json.loads(rows[0][0])) if rows and rows[0][0] is not None else None

    def commands(self, run_id: int, *, status: str | None = None) -> list[CommandRecord]:
        """Commands for a run, oldest first; those of one status if asked."""
        where, arguments = ("AND status = ?", (run_id, status)) if status is not None else ("", (run_id,))
        rows = self._rows(f"{SELECT_COMMAND} WHERE run = ? {where} ORDER BY id", arguments)
        return [command_record(row) for row in rows]

    def command(self, command_id: int) -> CommandRecord:
        """One command, to see what became of it."""
        rows = self._rows(f"{SELECT_COMMAND} WHERE id = ?", (command_id,))
        if not rows:
            raise UserError(f"command: there is no command {command_id} in {self.path}")
        return command_record(rows[0])

    def vector(self, run_id: int, step: int, kind: str) -> VectorArray | None:
        """A stored vector, float32 (D,); kind is init, z, prediction or target. None: not kept."""
        rows = self._rows(
            "SELECT data FROM vector WHERE run = ? AND step = ? AND kind = ?", (run_id, step, kind)
        )
        return unpack(rows[0][0]) if rows else None

    def vectors(self, run_id: int, kind: str) -> Iterator[tuple[int, VectorArray]]:
        """All stored vectors of a kind with their steps, in order."""
        steps = self._rows("SELECT step FROM vector WHERE run = ? AND kind = ? ORDER BY step", (run_id, kind))
        for (step,) in steps:
            if (vector := self.vector(run_id, step, kind)) is not None:
                yield step, vector

    def workers(self) -> list[WorkerRecord]:
        """Workers that have ever described themselves, one for each device."""
        rows = self._rows(
            "SELECT device, pid, start, started, heartbeat, state, idle_timeout_s, log, device_name,"
            " memory_used, memory_total, utilisation FROM worker ORDER BY device"
        )
        return [WorkerRecord(*(*row, process.is_alive(row[1], row[2]))) for row in rows]

    def _revision(self) -> str:
        revision = self._guarded(lambda: schema_revision(self._connection))
        if revision is None:
            raise UserError(f"database: {self.path}: is empty")
        return revision

    def _rows(self, sql: str, arguments: Sequence[object] | dict[str, object] = ()) -> list[Row]:
        return self._guarded(lambda: self._connection.execute(sql, arguments).fetchall())

    def _guarded(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except sqlite3.DatabaseError as error:
            raise unreadable(self.path, error) from error
        except UserError as error:
            raise UserError(f"database: {self.path}: {error}") from None


def _run_record(row: Row) -> RunRecord:
    *columns, weights, break_points, environment, worker_start = row
    values: Row = (
        *columns,
        _weights(weights, spec=row[4]),
        tuple(json.loads(break_points)),
        None if environment is None else _json_object(environment),
    )
    run = RunRecord(*values)
    status = Status(run.status)
    has_worker = status.is_held_by_worker and run.worker_pid is not None  # a worker that leaves lets go of it
    if has_worker and process.is_gone(run.worker_pid, worker_start, run.heartbeat):
        status = Status.CRASHED
    return replace(run, status=status, match=_as_bool(run.match))


def _weights(stored: str | None, *, spec: str) -> dict[str, float]:
    weights = (_json_object(spec) or {}).get("weights") if stored is None else _json_object(stored)
    return weights if isinstance(weights, dict) else {}


def step_records(rows: Sequence[Row]) -> list[StepRecord]:
    """Rows of STEP_COLUMNS as records."""
    all_terms = json.loads(f"[{','.join(row[3] for row in rows)}]")  # one call is a third of the time of many
    return [
        StepRecord._make((*row[:3], terms, *row[4:11], _as_bool(row[11]), row[12]))
        for row, terms in zip(rows, all_terms, strict=True)
    ]


def command_record(row: Row) -> CommandRecord:
    """A row of SELECT_COMMAND as a record."""
    arguments = _json_object(row[4])
    values: Row = (*row[:4], arguments or {}, *row[5:], arguments is not None)
    return CommandRecord(*values)


def _json_object(text: str | bytes) -> dict[str, Any] | None:
    """The object that a text holds; None when it holds none. A column may hold anything."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _as_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)
