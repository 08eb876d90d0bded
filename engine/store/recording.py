"""What the worker writes: rows, vectors, events, checkpoints, states and answers to commands.

Plain tuples through one sqlite3 connection, one transaction for each thing that must be true at once. A
transaction that cannot be written now (disk full, database locked by another program) is tried again until
it can: the worker then stands still, and nothing that happened is dropped. Only a database that has been
deleted or replaced is given up, after what was recorded has been copied to a new file beside it.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine import process
from engine.store.appending import NewRow, add_vectors, append_row
from engine.store.connection import connect, journal_mode, primary_code
from engine.store.copies import rescue
from engine.store.filesystem import files_of
from engine.store.reading import SELECT_COMMAND, STEP_COLUMNS, command_record, step_records
from engine.store.records import CardFigures, CommandRecord, SentenceRecord, Status, StepRecord
from engine.store.vectors import VectorArray, unpack

T = TypeVar("T")

_RETRY_S = 1.0
_TRANSIENT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What another program or a full disk causes, and time may cure."""

_QUEUED = (
    "FROM run JOIN session ON session.id = run.session_id"
    " WHERE device = ? AND status = 'queued' AND run.deleted IS NULL AND session.deleted IS NULL"
)

_HELD = tuple(str(status) for status in Status if status.is_held_by_worker)


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
class Claim:
    """A queued run that this worker has taken."""

    run: int
    in_force: InForce
    digest: str | None
    """Digest of the weights that it began with; None when it has not begun."""
    initial: VectorArray | None
    """Stored vector to start from, if the run starts from one."""
    checkpoint: bytes | None
    """State to go on from, if there is one."""
    recorded: "tuple[Settings, ...]"
    """What the rows from there on were made with that are recorded already, in order."""


@dataclass(frozen=True)
class Settings:
    """What a row was made with that may change from row to row."""

    step: int
    lr: float
    weights: Mapping[str, float] | None
    """None: the spec's."""


@dataclass(frozen=True)
class Event:
    """An event to be recorded: its kind and one line about it."""

    kind: str
    detail: str = ""
    who: str = "worker"


@dataclass(frozen=True)
class NewStep:
    """A row of a trajectory, and what is true with it."""

    made: NewRow
    checkpoint: bytes | None = None
    """The state after its update, to go on from."""
    events: Sequence[Event] = ()
    """What happened right after the row."""
    pause_before: int | None = None
    """With the row the run is paused, and `checkpoint` is its state before this step, to go on from."""


class DatabaseGoneError(Exception):
    """The database that is written has been deleted or replaced."""


class Recorder:
    """The worker's connection to one database, for the runs of one device."""

    def __init__(self, path: Path, device: str, *, report: Callable[[str], None]) -> None:
        """Open a prepared database; `report` gets a line when a transaction has to wait."""
        self.path = path
        self.device = device
        self._report = report
        self._connection = connect(path)
        self._files = files_of(path)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        return int(self.read("PRAGMA data_version")[0][0])

    @property
    def keeps_log(self) -> bool:
        """Whether the database has a write-ahead log; False: a rollback journal."""
        return journal_mode(self._connection) == "wal"

    def is_in_place(self) -> bool:
        """Whether the file that is written is still the one of that name: not deleted, not replaced."""
        try:
            now = files_of(self.path)
        except OSError:  # a network that is away: it may come back
            return True
        return now is not None and self._files is not None and now.database == self._files.database

    def rescue(self) -> Path:
        """Copy a database that has been deleted or replaced to a new file, `NAME.rescued`.

        Raises:
            OSError, sqlite3.Error: it cannot be copied.
        """
        return rescue(self._connection, self.path)

    # The worker itself

    def describe_worker(self, pid: int, state: str, idle_timeout_s: float, log: Path) -> None:
        """Say that this process is the device's worker, and what it is doing."""
        self.write(
            lambda connection: _describe_worker(connection, self.device, pid, state, idle_timeout_s, log)
        )

    def beat(self, pid: int, card: CardFigures | None = None) -> None:
        """Note that the worker and its runs are alive, and how its card is doing if it has one.

        Skipped when the database is busy.
        """
        now = time.time()
        figures = astuple(card) if card else (None,) * 4
        try:
            self._in_transaction(
                lambda connection: (
                    connection.execute(
                        "UPDATE worker SET heartbeat = ?, device_name = ?, memory_used = ?, memory_total = ?,"
                        " utilisation = ? WHERE device = ?",
                        (now, *figures, self.device),
                    ),
                    connection.execute(
                        "UPDATE run SET heartbeat = ?"
                        " WHERE worker_pid = ? AND worker_start = ? AND device = ?",
                        (now, pid, process.process_start(pid), self.device),
                    ),
                )
            )
        except sqlite3.DatabaseError as error:
            self._report(f"heartbeat: {error}")

    def another_worker_is_alive(self) -> bool:
        """Whether the device's worker, as last described, is a living process other than this one."""
        rows = self.read("SELECT pid, start, heartbeat FROM worker WHERE device = ?", (self.device,))
        return bool(rows) and not process.is_gone(*rows[0])

    def take_office(self, pid: int, idle_timeout_s: float, log: Path) -> bool:
        """Become the device's worker where no file can be locked; False: another one is, or may be, alive."""

        def take(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                "SELECT pid, start, heartbeat FROM worker WHERE device = ?", (self.device,)
            ).fetchone()
            if row is not None and not process.is_gone(*row):
                return False
            _describe_worker(connection, self.device, pid, "starting", idle_timeout_s, log)
            return True

        return self.write(take)

    def leave(self, park_queued: Event | None = None) -> bool:
        """Sign off as the device's worker: a run that is queued later finds none and starts one.

        With work waiting this is False and nothing is changed, unless `park_queued` says why the queued
        runs are to be paused, and the tasks cancelled.
        """

        def sign_off(connection: sqlite3.Connection) -> bool:
            queued = connection.execute(f"SELECT run.id {_QUEUED}", (self.device,)).fetchall()
            if park_queued is not None:
                for (run,) in queued:
                    _set_status(connection, run, Status.PAUSED)
                    add_event(connection, run, _next_step(connection, run), park_queued)
                connection.execute(
                    "UPDATE task SET status = 'cancelled', error = ?, ended = ?"
                    " WHERE device = ? AND status = 'pending'",
                    (park_queued.detail, time.time(), self.device),
                )
            elif (
                queued
                or connection.execute(
                    "SELECT 1 FROM command WHERE device = :device AND status = 'pending'"
                    " UNION ALL SELECT 1 FROM task WHERE device = :device AND status = 'pending' LIMIT 1",
                    {"device": self.device},
                ).fetchone()
            ):
                return False
            connection.execute("DELETE FROM worker WHERE device = ?", (self.device,))
            return True

        return self.write(sign_off)

    # Runs

    def mark_crashed(self) -> list[int]:
        """Mark runs whose worker process is gone, and return their ids."""

        def mark(connection: sqlite3.Connection) -> list[int]:
            crashed = []
            for run, pid, start, heartbeat in connection.execute(
                "SELECT id, worker_pid, worker_start, heartbeat FROM run"
                f" WHERE device = ? AND worker_pid IS NOT NULL AND status IN {_HELD}",
                (self.device,),
            ).fetchall():
                if process.is_gone(pid, start, heartbeat):
                    error = f"the worker (process {pid}) is gone"
                    _set_status(connection, run, Status.CRASHED, error=error)
                    add_event(connection, run, _next_step(connection, run), Event("crashed", error))
                    crashed.append(int(run))
            return crashed

        return self.write(mark)

    def queued(self, most: int) -> list[tuple[int, InForce]]:
        """The oldest queued runs of the device, by their ids, in their order."""

        def look() -> list[tuple[int, InForce]]:
            runs = self._connection.execute(
                f"SELECT run.id {_QUEUED} ORDER BY run.id LIMIT ?", (self.device, most)
            ).fetchall()
            return [(run, _in_force(self._connection, run)) for (run,) in runs]

        return self._patiently(look)

    def claim(self, pid: int, run: int | None = None) -> Claim | None:
        """Take a queued run of the device, the oldest one if `run` is None; None when it is not queued."""

        def take(connection: sqlite3.Connection) -> Claim | None:
            row = connection.execute(
                f"SELECT run.id, bundle_digest {_QUEUED} AND coalesce(run.id = ?, TRUE)"
                " ORDER BY run.id LIMIT 1",
                (self.device, run),
            ).fetchone()
            if row is None:
                return None
            taken, digest = row
            connection.execute(
                "UPDATE run SET status = 'loading', worker_pid = ?, worker_start = ?, heartbeat = ?,"
                " started = coalesce(started, ?), ended = NULL, error = NULL WHERE id = ?",
                (pid, process.process_start(pid), time.time(), time.time(), taken),
            )
            initial = connection.execute(
                "SELECT data FROM vector WHERE run = ? AND kind = 'init' AND step = 0", (taken,)
            ).fetchone()
            checkpoint = connection.execute(
                "SELECT data FROM checkpoint WHERE run = ? ORDER BY step DESC LIMIT 1", (taken,)
            ).fetchone()
            return Claim(
                taken,
                _in_force(connection, taken),
                digest,
                unpack(initial[0]) if initial else None,
                checkpoint[0] if checkpoint else None,
                _recorded_settings(connection, taken),
            )

        return self.write(take)

    def start(
        self,
        run: int,
        *,
        digest: str,
        step: int,
        vectors: Mapping[str, VectorArray],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """A claimed run has its models and begins, or goes on, with `step`."""

        def begin(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE run SET status = 'running', bundle_digest = ?,"
                " environment = coalesce(?, environment) WHERE id = ?",
                (digest, None if environment is None else json.dumps(environment), run),
            )
            add_vectors(connection, run, 0, vectors)
            add_event(connection, run, step, Event("started"))

        self.write(begin)

    def record_step(
        self,
        row: StepRecord,
        vectors: Mapping[str, VectorArray],
        checkpoint: bytes | None = None,
        *,
        token_losses: Sequence[float] | None = None,
        sentences: Sequence[SentenceRecord] = (),
        reread_prediction: str | None = None,
    ) -> None:
        """Append one row; the arguments are those of NewRow and NewStep."""
        made = NewRow(
            row,
            vectors,
            token_losses=token_losses,
            sentences=sentences,
            reread_prediction=reread_prediction,
        )
        self.record_steps([NewStep(made, checkpoint)])

    def record_steps(self, steps: Sequence[NewStep]) -> None:
        """Append a row to each of some trajectories, with all that goes with it, or replace it.

        A run that leaves its old trajectory thereby (engine.store.appending) has that as an event.
        """

        def append(connection: sqlite3.Connection) -> None:
            for step in steps:
                _append_step(connection, step)

        self.write(append)

    def add_event(self, run: int, step: int | None, event: Event) -> None:
        """Record an event that changes nothing else."""
        self.add_events([(run, step, event)])

    def add_events(self, events: Sequence[tuple[int, int | None, Event]]) -> None:
        """Record events, each of a run and a step, that change nothing else."""

        def add(connection: sqlite3.Connection) -> None:
            for run, step, event in events:
                add_event(connection, run, step, event)

        self.write(add)

    def end(self, run: int, step: int, status: Status, event: Event, error: str | None = None) -> None:
        """The run has finished or failed; of its checkpoints the last one stays."""

        def finish(connection: sqlite3.Connection) -> None:
            _set_status(connection, run, status, error=error)
            add_event(connection, run, step, event)
            _prune_checkpoints(connection, run)

        self.write(finish)

    def park(self, run: int, step: int, checkpoint: bytes, event: Event) -> None:
        """Let go of a run: it is paused, and no process holds it until it is resumed."""

        def let_go(connection: sqlite3.Connection) -> None:
            _set_status(connection, run, Status.PAUSED)
            _add_checkpoint(connection, run, step, checkpoint)
            add_event(connection, run, step, event)

        self.write(let_go)

    def put_back(self, run: int, step: int, status: Status, event: Event) -> None:
        """Let go of a run whose state is lost: it goes on from its last checkpoint, at once where `status` is
        queued.
        """

        def let_go(connection: sqlite3.Connection) -> None:
            _set_status(connection, run, status)
            add_event(connection, run, step, event)

        self.write(let_go)

    def status(self, run: int) -> Status:
        """The stored status of a run."""
        return Status(self.read("SELECT status FROM run WHERE id = ?", (run,))[0][0])

    def in_force(self, run: int) -> InForce:
        """What a run was asked for, and what of it has been changed since."""
        return self._patiently(lambda: _in_force(self._connection, run))

    def rows_before(self, run: int, step: int) -> tuple[StepRecord | None, str | None]:
        """The row before a step, and the newest decoded prediction before it; None where there is none."""
        row = self.read(f"SELECT {STEP_COLUMNS} FROM step WHERE run = ? AND step = ?", (run, step - 1))
        decoded = self.read(
            "SELECT decoded_prediction FROM step WHERE run = ? AND step < ?"
            " AND decoded_prediction IS NOT NULL ORDER BY step DESC LIMIT 1",
            (run, step),
        )
        return step_records(row)[0] if row else None, decoded[0][0] if decoded else None

    def resumed_with(self, run: int) -> tuple[Mapping[str, Any], int] | None:
        """Arguments of the command by which a run goes on now, and the step with which it took effect.

        None: it goes on without such a command, or has been paused or has ended since.
        """
        newest = self.read(
            "SELECT kind FROM event WHERE run = ? AND kind IN"
            " ('resumed', 'paused', 'stopped', 'finished', 'failed', 'crashed') ORDER BY id DESC LIMIT 1",
            (run,),
        )
        if newest != [("resumed",)]:
            return None
        command = self.read(
            "SELECT arguments, applied_step FROM command"
            " WHERE run = ? AND kind = 'resume' AND status = 'applied' ORDER BY id DESC LIMIT 1",
            (run,),
        )
        return (json.loads(command[0][0]), command[0][1]) if command else None

    def next_step(self, run: int) -> int:
        """The step with which a run that no worker holds would go on."""
        return self._patiently(lambda: _next_step(self._connection, run))

    # Commands

    def pending_commands(self) -> list[CommandRecord]:
        """What viewers have asked for and not been answered, oldest first."""
        rows = self.read(
            f"{SELECT_COMMAND} WHERE device = ? AND status = 'pending' ORDER BY id", (self.device,)
        )
        return [command_record(row) for row in rows]

    def apply(
        self,
        command: CommandRecord,
        step: int | None,
        *,
        events: Sequence[Event] = (),
        status: Status | None = None,
        lr: float | None = None,
        weights: Mapping[str, float] | None = None,
        schedules: Mapping[str, str] | None = None,
        loss_name: str | None = None,
        steps: int | None = None,
        break_points: Sequence[str] | None = None,
        checkpoint: bytes | None = None,
    ) -> None:
        """Acknowledge a command together with what it changed; `step` is the first that it affects."""
        changed = (
            lr,
            None if weights is None else json.dumps(weights),
            None if schedules is None else json.dumps(schedules),
            loss_name,
            steps,
        )

        def acknowledge(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE command SET status = 'applied', applied_step = ? WHERE id = ?", (step, command.id)
            )
            if command.run is None:
                return
            if status is not None:
                _set_status(connection, command.run, status, keep_worker=status.is_held_by_worker)
            connection.execute(
                "UPDATE run SET lr = coalesce(?, lr), weights = coalesce(?, weights),"
                " schedules = coalesce(?, schedules), loss_name = coalesce(?, loss_name),"
                " steps = coalesce(?, steps) WHERE id = ?",
                (*changed, command.run),
            )
            if break_points is not None:
                _set_break_points(connection, command.run, break_points, command.who)
            if checkpoint is not None and step is not None:
                _add_checkpoint(connection, command.run, step, checkpoint)
            if status is not None and status.has_ended:
                _prune_checkpoints(connection, command.run)
            for event in events:
                add_event(connection, command.run, step, event)

        self.write(acknowledge)

    def reject(self, command: CommandRecord, reason: str) -> None:
        """Answer a command with the reason why it cannot be done."""
        self.write(
            lambda connection: connection.execute(
                "UPDATE command SET status = 'rejected', reason = ? WHERE id = ?", (reason, command.id)
            )
        )

    def read(self, sql: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows as they are now, again and again until they can be read."""
        return self._patiently(lambda: self._connection.execute(sql, arguments).fetchall())

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Change something in one transaction, again and again until it can be.

        Raises:
            DatabaseGoneError: the database has been deleted or replaced meanwhile.
        """
        return self._patiently(lambda: self._in_transaction(change))

    def _patiently(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if primary_code(error) not in _TRANSIENT:
                    raise
                if not self.is_in_place():
                    raise DatabaseGoneError from error
                self._report(f"{self.path}: {error}; trying again every {_RETRY_S:g} s")
                time.sleep(_RETRY_S)

    def _in_transaction(self, change: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = change(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result


def _append_step(connection: sqlite3.Connection, new: NewStep) -> None:
    row = new.made.row
    after = row.step + (row.lr is not None)  # from the last row no update is made: it stays at its step
    if (remade := append_row(connection, new.made)) is not None:
        add_event(connection, row.run, row.step, Event("remade", remade))
    if new.pause_before is not None:
        _set_status(connection, row.run, Status.PAUSED, keep_worker=True)
        connection.execute("DELETE FROM checkpoint WHERE run = ? AND step > ?", (row.run, new.pause_before))
    if new.checkpoint is not None:
        step = after if new.pause_before is None else new.pause_before
        _add_checkpoint(connection, row.run, step, new.checkpoint)
    for event in new.events:
        add_event(connection, row.run, after, event)


def _describe_worker(
    connection: sqlite3.Connection, device: str, pid: int, state: str, idle_timeout_s: float, log: Path
) -> None:
    now = time.time()
    connection.execute(
        "INSERT INTO worker (device, pid, start, started, heartbeat, state, idle_timeout_s, log)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET"
        " started = iif(pid = excluded.pid AND start = excluded.start, started, excluded.started),"
        " pid = excluded.pid, start = excluded.start, heartbeat = excluded.heartbeat,"
        " state = excluded.state, idle_timeout_s = excluded.idle_timeout_s, log = excluded.log",
        (device, pid, process.process_start(pid) or "", now, now, state, idle_timeout_s, str(log)),
    )


def _set_status(
    connection: sqlite3.Connection,
    run: int,
    status: Status,
    *,
    keep_worker: bool = False,
    error: str | None = None,
) -> None:
    connection.execute(
        "UPDATE run SET status = ?, error = ?, ended = iif(?, ?, NULL) WHERE id = ?",
        (status, error, status.has_ended, time.time(), run),
    )
    if not keep_worker:
        connection.execute("UPDATE run SET worker_pid = NULL, worker_start = NULL WHERE id = ?", (run,))


def add_event(connection: sqlite3.Connection, run: int, step: int | None, event: Event) -> None:
    """Record an event in an open transaction."""
    connection.execute(
        "INSERT INTO event (run, step, time, kind, detail, who) VALUES (?, ?, ?, ?, ?, ?)",
        (run, step, time.time(), event.kind, event.detail, event.who),
    )


def _in_force(connection: sqlite3.Connection, run: int) -> InForce:
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


def _set_break_points(connection: sqlite3.Connection, run: int, conditions: Sequence[str], who: str) -> None:
    connection.execute(
        "DELETE FROM break_point WHERE run = ? AND condition NOT IN (SELECT value FROM json_each(?))",
        (run, json.dumps(list(conditions))),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO break_point (run, condition, created, who) VALUES (?, ?, ?, ?)",
        [(run, condition, time.time(), who) for condition in conditions],
    )


def _add_checkpoint(connection: sqlite3.Connection, run: int, step: int, data: bytes) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO checkpoint (run, step, created, data) VALUES (?, ?, ?, ?)",
        (run, step, time.time(), data),
    )


def _prune_checkpoints(connection: sqlite3.Connection, run: int) -> None:
    # The state that a fork began with is its parent's, and nobody else may have it any more.
    connection.execute(
        "DELETE FROM checkpoint WHERE run = :run"
        " AND step < (SELECT max(step) FROM checkpoint WHERE run = :run)"
        " AND step IS NOT (SELECT parent_step FROM run WHERE id = :run)",
        {"run": run},
    )


def _next_step(connection: sqlite3.Connection, run: int) -> int:
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


def _recorded_settings(connection: sqlite3.Connection, run: int) -> tuple[Settings, ...]:
    """What the rows were made with that a run makes again when it goes on from its last checkpoint."""
    rows = connection.execute(
        "SELECT step, lr, weights FROM step WHERE run = ? AND step >= ? AND step < ? ORDER BY step",
        (run, _checkpoint_step(connection, run), _next_step(connection, run)),
    ).fetchall()
    return tuple(
        Settings(step, lr, None if weights is None else json.loads(weights))
        for step, lr, weights in rows
        if lr is not None
    )


def _checkpoint_step(connection: sqlite3.Connection, run: int) -> int:
    row = connection.execute("SELECT max(step) FROM checkpoint WHERE run = ?", (run,)).fetchone()
    return int(row[0] or 0)
