"""Read a database: the one reader behind live view, replay, comparison and export.

Plain sqlite3 in a read-only connection: looking never changes a file, costs no ORM, and starts fast.
"""

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine import process
from engine.errors import UserError
from engine.store.connection import connect_read_only, network_notice, unreadable
from engine.store.records import (
    NOTHING,
    Aside,
    BreakPointRecord,
    CommandRecord,
    EventRecord,
    RunRecord,
    RunTotals,
    SentenceRecord,
    SessionRecord,
    SessionSummary,
    Status,
    StepRecord,
    TaskRecord,
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
    (SELECT step FROM step INDEXED BY step_match WHERE step.run = run.id AND match = 1 ORDER BY step LIMIT 1),
    run.weights,
    run.schedules,
    (SELECT json_group_array(condition) FROM (
        SELECT condition FROM break_point WHERE break_point.run = run.id ORDER BY break_point.id
    )),
    run.environment,
    run.worker_start
"""

_STATUS, _WORKER_PID, _HEARTBEAT, _MATCH = 11, 17, 18, 28
"""Places of columns."""

_REPEATED = (1, 4, 5, 6, 7, 8, 9, 12, 15, 29)
"""Places of texts that many runs have in common: session, spec, init, target, loss, bundle, digest, origin,
device, prediction."""

_STATUSES = {str(status): status for status in Status}

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

_LOSS_CURVE = """
    WITH RECURSIVE
    ends (low, high) AS (
        SELECT (SELECT min(step) FROM step WHERE run = :run), (SELECT max(step) FROM step WHERE run = :run)
    ),
    whole (low, length, count) AS (
        SELECT low, high - low + 1, min(:points, high - low + 1) FROM ends WHERE low IS NOT NULL
    ),
    number (value) AS (
        SELECT 0 FROM whole UNION ALL SELECT value + 1 FROM number, whole WHERE value + 1 < count
    ),
    bucket (value, first, beyond) AS (
        SELECT value, low + (value * length + count - 1) / count,
            low + ((value + 1) * length + count - 1) / count
        FROM number, whole
    )
    SELECT (SELECT avg(loss) FROM step WHERE run = :run AND step >= first AND step < beyond) FROM bucket
    WHERE EXISTS (SELECT 1 FROM step WHERE run = :run AND step >= first AND step < beyond)
    ORDER BY value
"""
"""Goes through the rows once, in their order: to group them SQLite would sort them all in memory first."""

SELECT_COMMAND = (
    "SELECT id, run, device, kind, arguments, requested, who, status, applied_step, reason FROM command"
)

SELECT_TASK = (
    "SELECT task.id, task.device, task.run, task.kind, task.arguments, task.requested, task.who, task.status,"
    " task.done, task.total, task.result, task.error, task.ended, task.worker_pid, task.worker_start,"
    " worker.heartbeat"
    " FROM task LEFT JOIN worker ON worker.device = task.device AND worker.pid = task.worker_pid"
)

STEP_COLUMNS = (
    "run, step, loss, terms, similarity, grad_norm, z_norm, lr, elapsed_ms, "
    "decoded_z, decoded_prediction, match, state_hash, measures"
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
        self._going_on: dict[int, tuple[Row, RunRecord]] = {}
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
        return int(self._rows("PRAGMA data_version")[0][0])

    def sessions(self, *, with_archived: bool = True) -> list[SessionRecord]:
        """All sessions that are not deleted, oldest first."""
        return [
            SessionRecord(key, name, created, notes, _texts(tags), bool(archived), runs)
            for key, name, created, notes, tags, archived, runs in self._rows(
                "SELECT id, name, created, notes, tags, archived,"
                " (SELECT count(*) FROM run WHERE session_id = session.id AND run.deleted IS NULL)"
                " FROM session WHERE deleted IS NULL AND (? OR NOT archived) ORDER BY id",
                (with_archived,),
            )
        ]

    def session(self, name: str) -> SessionRecord:
        """The session of a name.

        Raises:
            UserError: there is none.
        """
        for session in self.sessions():
            if session.name == name:
                return session
        raise UserError(f"session: {name[:40]!r}: there is none of that name in {self.path}")

    def session_summaries(self, *, with_archived: bool = False) -> list[SessionSummary]:
        """What a list of sessions shows, but for what has to be summed over all rows, oldest first."""
        figures = {
            key: tuple(rest)
            for key, *rest in self._rows(
                "SELECT session_id,"
                " sum(EXISTS (SELECT 1 FROM step INDEXED BY step_match"
                " WHERE step.run = run.id AND match = 1)),"
                " max(max(created, coalesce(started, 0), coalesce(ended, 0)))"
                " FROM run WHERE deleted IS NULL GROUP BY session_id"
            )
        }
        summaries = []
        for session in self.sessions(with_archived=with_archived):
            matches, active = figures.get(session.id, (0, session.created))
            summaries.append(SessionSummary(session, matches, active))
        return summaries

    def newest_steps(self) -> dict[int, tuple[int, int | None]]:
        """The session's id and the newest step of each run that is not deleted, by the run's id."""
        return {
            run: (session, step)
            for run, session, step in self._rows(
                "SELECT id, session_id, (SELECT max(step) FROM step WHERE run = run.id)"
                " FROM run WHERE deleted IS NULL"
            )
        }

    def run_totals(self, run_id: int) -> RunTotals:
        """The lowest loss of a run and its size; reads all its rows."""
        lowest, steps = self._rows(
            "SELECT min(loss), coalesce(sum(length(terms) + coalesce(length(decoded_z), 0)"
            " + coalesce(length(decoded_prediction), 0) + coalesce(length(token_losses), 0) + 70), 0)"
            " FROM step WHERE run = ?",
            (run_id,),
        )[0]
        ((others,),) = self._rows(
            "SELECT coalesce((SELECT sum(length(data)) FROM vector WHERE run = :run), 0)"
            " + coalesce((SELECT sum(length(data)) FROM checkpoint WHERE run = :run), 0)",
            {"run": run_id},
        )
        return RunTotals(lowest, steps + others)

    def runs(self, session: str | None = None, *, with_archived: bool = False) -> list[RunRecord]:
        """All runs that are not deleted, or those of one session, oldest first.

        Those of archived sessions are left out, unless they are asked for or it is the one session.
        """
        where = "session.name = ?" if session is not None else "? OR NOT session.archived"
        argument = session if session is not None else with_archived
        return self._run_records(f"WHERE {where}", argument)

    def runs_of(self, ids: Sequence[int]) -> list[RunRecord]:
        """The runs of some ids, oldest first; those that there are not, or that are deleted, are left out."""
        return self._run_records("WHERE run.id IN (SELECT value FROM json_each(?))", json.dumps(ids))

    def run(self, run_id: int) -> RunRecord:
        """One run.

        Raises:
            UserError: there is no such run.
        """
        rows = self._rows(f"SELECT {_RUN_COLUMNS} FROM {_RUN_TABLES} WHERE run.id = ?", (run_id,))
        if not rows:
            raise UserError(f"run: there is no run {run_id} in {self.path}")
        return self._run(rows[0])

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

    def figures(self, run_id: int, *, after: int = -1, limit: int = 10_000) -> tuple[list[Row], list[Any]]:
        """Only the numbers of at most `limit` rows beyond step `after`, in order, for whole trajectories.

        Returns:
            Rows of step, loss, similarity, lr, grad_norm, z_norm, elapsed_ms (infinite where there is none),
            whether the prediction was decoded, whether that is the target (1, 0 or None), and what is
            measured of it (JSON or None); the terms of each row.
        """
        rows = self._rows(
            "SELECT step, ifnull(loss, 9e999), ifnull(similarity, 9e999), ifnull(lr, 9e999),"
            " ifnull(grad_norm, 9e999), ifnull(z_norm, 9e999), ifnull(elapsed_ms, 9e999),"
            " decoded_prediction IS NOT NULL, match, measures, terms"
            " FROM step WHERE run = ? AND step > ? ORDER BY step LIMIT ?",
            (run_id, after, limit),
        )
        from pydantic_core import from_json  # in a third of the time that json takes for so many objects

        return rows, from_json(f"[{','.join(row[-1] for row in rows)}]")

    def all_steps(self, run_id: int) -> Iterator[StepRecord]:
        """The whole trajectory, read in bounded chunks."""
        after = -1
        while chunk := self.steps(run_id, after=after):
            yield from chunk
            after = chunk[-1].step

    def loss_curve(self, run_id: int, points: int) -> list[float | None]:
        """Mean loss in at most `points` buckets of equal length, for a sparkline; None: nothing finite."""
        rows = self._rows(
            _LOSS_CURVE,
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

    def sentences(self, run_id: int, step: int) -> tuple[SentenceRecord, ...]:
        """What is predicted in the place of each target sentence; nothing for a run that has only one."""
        rows = self._rows("SELECT sentences FROM step WHERE run = ? AND step = ?", (run_id, step))
        return sentence_records(rows[0][0]) if rows else ()

    def reread_prediction(self, run_id: int, step: int) -> str | None:
        """What is predicted from the text of z of a row, encoded again; None: it was not asked."""
        rows = self._rows("SELECT reread_prediction FROM step WHERE run = ? AND step = ?", (run_id, step))
        return rows[0][0] if rows else None

    def asides(self, run_id: int, first: int, last: int) -> dict[int, Aside]:
        """What the rows from one step to another say besides their texts, where they do, by step."""
        rows = self._rows(
            "SELECT step, sentences, reread_prediction FROM step WHERE run = ? AND step BETWEEN ? AND ?"
            " AND (sentences IS NOT NULL OR reread_prediction IS NOT NULL)",
            (run_id, first, last),
        )
        return {step: Aside(sentence_records(sentences), reread) for step, sentences, reread in rows}

    def row_weights(self, run_id: int, step: int) -> dict[str, float] | None:
        """The weights of the loss's terms in a row, where they are not those of the run's spec; else None."""
        rows = self._rows("SELECT weights FROM step WHERE run = ? AND step = ?", (run_id, step))
        return _json_object(rows[0][0]) if rows and rows[0][0] is not None else None

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

    def task(self, task_id: int) -> TaskRecord:
        """One task, to see how it stands.

        Raises:
            UserError: there is no such task.
        """
        rows = self._rows(f"{SELECT_TASK} WHERE task.id = ?", (task_id,))
        if not rows:
            raise UserError(f"task: there is no task {task_id} in {self.path}")
        return task_record(rows[0])

    def tasks(
        self, *, run: int | None = None, kind: str | None = None, status: str | None = None
    ) -> list[TaskRecord]:
        """All tasks, oldest first; those for a run, of a kind and of a status if asked."""
        records = [
            task_record(row)
            for row in self._rows(
                f"{SELECT_TASK} WHERE (:run IS NULL OR task.run = :run) AND (:kind IS NULL OR kind = :kind)"
                " ORDER BY task.id",
                {"run": run, "kind": kind},
            )
        ]
        return [record for record in records if status in (None, record.status)]

    def vector(self, run_id: int, step: int, kind: str) -> VectorArray | None:
        """A stored vector, float32 (D,); kind is init, z, prediction or target. None: not kept."""
        rows = self._rows(
            "SELECT data FROM vector WHERE run = ? AND step = ? AND kind = ?", (run_id, step, kind)
        )
        return unpack(rows[0][0]) if rows else None

    def vectors(self, run_id: int, kind: str) -> Iterator[tuple[int, VectorArray]]:
        """All stored vectors of a kind with their steps, in order."""
        for step in self.vector_steps(run_id, kind):
            if (vector := self.vector(run_id, step, kind)) is not None:
                yield step, vector

    def vector_steps(self, run_id: int, kind: str) -> list[int]:
        """Steps for which a vector of a kind is stored, in order."""
        rows = self._rows("SELECT step FROM vector WHERE run = ? AND kind = ? ORDER BY step", (run_id, kind))
        return [step for (step,) in rows]

    def last_vector_step(self, run_id: int, kind: str) -> int | None:
        """The last step for which a vector of a kind is stored; None where there is none."""
        rows = self._rows("SELECT max(step) FROM vector WHERE run = ? AND kind = ?", (run_id, kind))
        step: int | None = rows[0][0]
        return step

    def vector_chunks(
        self, bundle: str, dimension: int, kinds: Sequence[str], size: int
    ) -> Iterator[tuple[list[tuple[int, int, str]], VectorArray]]:
        """All stored vectors of the runs of a bundle, as many at a time as `size` says.

        Args:
            bundle: Its name.
            dimension: D; vectors of another one are left out.
            kinds: Which kinds of vectors.
            size: Most vectors of a chunk.

        Yields:
            Run, step and kind of each vector, and the vectors, float32 (N, D).
        """
        after = 0
        # In the order in which they lie in the file: by the key's index each chunk would sort them all.
        while rows := self._rows(
            "SELECT vector.rowid, run, step, kind, data FROM vector NOT INDEXED WHERE vector.rowid > ?"
            f" AND dimension = ? AND kind IN ({', '.join('?' * len(kinds))}) AND run IN ("
            "SELECT run.id FROM run JOIN session ON session.id = run.session_id"
            " AND run.deleted IS NULL AND session.deleted IS NULL WHERE bundle = ?)"
            " ORDER BY vector.rowid LIMIT ?",
            (after, dimension, *kinds, bundle, size),
        ):
            after = rows[-1][0]
            data = b"".join(row[4] for row in rows)
            yield [row[1:4] for row in rows], unpack(data).reshape(len(rows), dimension)

    def decoded_before(self, run_id: int, step: int) -> StepRecord | None:
        """The row of a step if it was decoded, else the last one before it that was; None: there is none."""
        rows = self._rows(
            f"SELECT {STEP_COLUMNS} FROM step WHERE run = ? AND step <= ?"
            " AND decoded_prediction IS NOT NULL ORDER BY step DESC LIMIT 1",
            (run_id, step),
        )
        return step_records(rows)[0] if rows else None

    def checkpoint_steps(self, run_id: int) -> list[int]:
        """Steps before whose update the state of a run is kept, in order."""
        rows = self._rows("SELECT step FROM checkpoint WHERE run = ? ORDER BY step", (run_id,))
        return [step for (step,) in rows]

    def checkpoint(self, run_id: int, step: int) -> bytes | None:
        """The state of a run before the update of a step (`engine.steps.state`). None: not kept."""
        rows = self._rows("SELECT data FROM checkpoint WHERE run = ? AND step = ?", (run_id, step))
        return rows[0][0] if rows else None

    def workers(self) -> list[WorkerRecord]:
        """Workers that have ever described themselves, one for each device."""
        rows = self._rows(
            "SELECT device, pid, start, started, heartbeat, state, idle_timeout_s, log, device_name,"
            " memory_used, memory_total, utilisation FROM worker ORDER BY device"
        )
        return [WorkerRecord(*(*row, process.is_alive(row[1], row[2]))) for row in rows]

    def rows(self, sql: str, arguments: Sequence[object] | dict[str, object] = ()) -> list[Row]:
        """Rows of a query; for other modules that read."""
        return self._rows(sql, arguments)

    def made_of_rows(self, sql: str, arguments: Sequence[object], make: Callable[[Row], T]) -> list[T]:
        """What is made of each row of a query as it is read: all rows at once may take more than that."""
        return self._guarded(lambda: [make(row) for row in self._connection.execute(sql, arguments)])

    def _run_records(self, where: str, argument: object) -> list[RunRecord]:
        sql = f"SELECT {_RUN_COLUMNS} FROM {_RUN_TABLES} {where} ORDER BY run.id"
        return self.made_of_rows(sql, (argument,), self._run)

    def _run(self, row: Row) -> RunRecord:
        """The record of a row; of a run that goes on the same as before where nothing in it has changed.

        Nothing is kept of runs that have ended: there may be thousands of them.
        """
        if _STATUSES[row[_STATUS]].has_ended:
            self._going_on.pop(row[0], None)
            return _run_record(row)
        known = self._going_on.get(row[0])
        if known is None or known[0] != row:
            known = self._going_on[row[0]] = (row, _run_record(row))
        record, status = known[1], _status(row)
        if record.status is not status:  # its worker has gone, and left no trace in the row
            record = replace(record, status=status)
            self._going_on[row[0]] = (row, record)
        return record

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
    *columns, weights, schedules, break_points, environment, _ = row
    for place in _REPEATED:
        if type(columns[place]) is str:  # a column may hold anything
            columns[place] = sys.intern(columns[place])
    columns[_STATUS] = _status(row)
    columns[_MATCH] = _as_bool(columns[_MATCH])
    values: Row = (
        *columns,
        _of_spec(row[4], "weights") if weights is None else _shared_object(weights) or {},
        _of_spec(row[4], "schedules") if schedules is None else _shared_object(schedules) or {},
        () if break_points == "[]" else tuple(json.loads(break_points)),
        None if environment is None else _shared_object(environment),
    )
    return RunRecord(*values)


def _status(row: Row) -> Status:
    """As stored, except that a run whose worker process is gone is crashed."""
    status = _STATUSES[row[_STATUS]]
    pid, heartbeat, start = row[_WORKER_PID], row[_HEARTBEAT], row[-1]
    has_worker = status.is_held_by_worker and pid is not None  # a worker that leaves lets go of it
    return Status.CRASHED if has_worker and process.is_gone(pid, start, heartbeat) else status


@lru_cache(maxsize=256)
def _of_spec(spec: str, name: str) -> dict[str, Any]:
    """The weights, or the schedules, that a spec asks for; many runs have the same."""
    found = (_json_object(spec) or {}).get(name)
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=256)
def _shared_object(text: str | bytes) -> Mapping[str, Any] | None:
    """The object that a text holds, or None when it holds none; one for all runs with the same text."""
    return _json_object(text)


def sentence_records(stored: str | None) -> tuple[SentenceRecord, ...]:
    """What is stored of a row's target sentences as records."""
    return tuple(SentenceRecord(*each) for each in json.loads(stored)) if stored else ()


def step_records(rows: Sequence[Row]) -> list[StepRecord]:
    """Rows of STEP_COLUMNS as records."""
    all_terms = json.loads(f"[{','.join(row[3] for row in rows)}]")  # one call is a third of the time of many
    return [
        StepRecord._make(
            (
                *row[:3],
                terms,
                *row[4:11],
                _as_bool(row[11]),
                row[12],
                json.loads(row[13]) if row[13] else NOTHING,
            )
        )
        for row, terms in zip(rows, all_terms, strict=True)
    ]


def command_record(row: Row) -> CommandRecord:
    """A row of SELECT_COMMAND as a record."""
    arguments = _json_object(row[4])
    values: Row = (*row[:4], arguments or {}, *row[5:], arguments is not None)
    return CommandRecord(*values)


def task_record(row: Row) -> TaskRecord:
    """A row of SELECT_TASK as a record; a task whose worker is gone has failed."""
    *columns, pid, start, heartbeat = row
    values: Row = (
        *columns[:4],
        _json_object(columns[4]) or {},
        *columns[5:10],
        _task_result(columns[10]),
        *columns[11:],
    )
    task = TaskRecord(*values)
    if task.status == "running" and process.is_gone(pid, start, heartbeat):
        return replace(task, status="failed", error=f"the worker (process {pid}) is gone; ask again")
    return task


def _task_result(text: str | None) -> dict[str, Any] | None:
    return None if text is None else _json_object(text)


def _texts(stored: str) -> tuple[str, ...]:
    """The texts of a JSON array. A column may hold anything."""
    try:
        values = json.loads(stored)
    except (ValueError, TypeError, RecursionError):
        return ()
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def _json_object(text: str | bytes) -> dict[str, Any] | None:
    """The object that a text holds; None when it holds none. A column may hold anything."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _as_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)
