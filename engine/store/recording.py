"""What the worker writes: rows, vectors, events, checkpoints, states and answers to commands.

Plain tuples through one sqlite3 connection, one transaction for each thing that must be true at once. A
transaction that cannot be written now (disk full, database locked by another program) is tried again until
it can: the worker then stands still, and nothing that happened is dropped.
"""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine import process
from engine.store.connection import connect
from engine.store.reading import SELECT_COMMAND, STEP_COLUMNS, command_record
from engine.store.records import CommandRecord, Status, StepRecord
from engine.store.vectors import VectorArray, pack, unpack

T = TypeVar("T")

_RETRY_S = 1.0
_TRANSIENT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What another program or a full disk causes, and time may cure."""

_HELD = tuple(str(status) for status in Status if status.is_held_by_worker)


@dataclass(frozen=True)
class Claim:
    """A queued run that this worker has taken."""

    run: int
    spec: str
    """RunSpec as JSON"""
    lr: float
    """Learning rate in force: it may have been set since the run was queued."""
    initial: VectorArray | None
    """Stored vector to start from, if the run starts from one."""
    checkpoint: bytes | None
    """State to go on from, if there is one."""


@dataclass(frozen=True)
class Event:
    """An event to be recorded: its kind and one line about it."""

    kind: str
    detail: str = ""
    who: str = "worker"


class Recorder:
    """The worker's connection to one database, for the runs of one device."""

    def __init__(self, path: Path, device: str, *, report: Callable[[str], None]) -> None:
        """Open a prepared database; `report` gets a line when a transaction has to wait."""
        self.path = path
        self.device = device
        self._report = report
        self._connection = connect(path)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    # The worker itself

    def describe_worker(self, pid: int, state: str, idle_timeout_s: float, log: Path) -> None:
        """Say that this process is the device's worker, and what it is doing."""
        now = time.time()
        values = (
            self.device,
            pid,
            process.process_start(pid) or "",
            now,
            now,
            state,
            idle_timeout_s,
            str(log),
        )
        self._write(
            lambda connection: connection.execute(
                "INSERT INTO worker (device, pid, start, started, heartbeat, state, idle_timeout_s, log)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET"
                " started = iif(pid = excluded.pid AND start = excluded.start, started, excluded.started),"
                " pid = excluded.pid, start = excluded.start, heartbeat = excluded.heartbeat,"
                " state = excluded.state, idle_timeout_s = excluded.idle_timeout_s, log = excluded.log",
                values,
            )
        )

    def beat(self, pid: int) -> None:
        """Note that the worker and its runs are alive. Skipped when the database is busy."""
        now = time.time()
        try:
            self._in_transaction(
                lambda connection: (
                    connection.execute(
                        "UPDATE worker SET heartbeat = ? WHERE device = ?", (now, self.device)
                    ),
                    connection.execute(
                        "UPDATE run SET heartbeat = ? WHERE worker_pid = ? AND device = ?",
                        (now, pid, self.device),
                    ),
                )
            )
        except sqlite3.OperationalError as error:
            self._report(f"heartbeat: {error}")

    def another_worker_is_alive(self) -> bool:
        """Whether the device's worker, as last described, is a living process other than this one."""
        row = self._connection.execute(
            "SELECT pid, start FROM worker WHERE device = ?", (self.device,)
        ).fetchone()
        return row is not None and process.is_alive(*row)

    def leave(self, park_queued: Event | None = None) -> bool:
        """Sign off as the device's worker: a run that is queued later finds none and starts one.

        With work waiting this is False and nothing is changed, unless `park_queued` says why the queued
        runs are to be paused.
        """

        def sign_off(connection: sqlite3.Connection) -> bool:
            queued = connection.execute(
                "SELECT id FROM run WHERE device = ? AND status = 'queued'", (self.device,)
            ).fetchall()
            if park_queued is not None:
                for (run,) in queued:
                    _set_status(connection, run, Status.PAUSED)
                    _add_event(connection, run, _next_step(connection, run), park_queued)
            elif (
                queued
                or connection.execute(
                    "SELECT 1 FROM command WHERE device = ? AND status = 'pending' LIMIT 1", (self.device,)
                ).fetchone()
            ):
                return False
            connection.execute("DELETE FROM worker WHERE device = ?", (self.device,))
            return True

        return self._write(sign_off)

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
                    _add_event(connection, run, _next_step(connection, run), Event("crashed", error))
                    crashed.append(int(run))
            return crashed

        return self._write(mark)

    def claim(self, pid: int) -> Claim | None:
        """Take the oldest queued run of the device; None when the queue is empty."""

        def take(connection: sqlite3.Connection) -> Claim | None:
            row = connection.execute(
                "SELECT id, spec, lr FROM run WHERE device = ? AND status = 'queued' ORDER BY id LIMIT 1",
                (self.device,),
            ).fetchone()
            if row is None:
                return None
            run, spec, lr = row
            connection.execute(
                "UPDATE run SET status = 'loading', worker_pid = ?, worker_start = ?, heartbeat = ?,"
                " started = coalesce(started, ?), ended = NULL, error = NULL WHERE id = ?",
                (pid, process.process_start(pid), time.time(), time.time(), run),
            )
            initial = connection.execute(
                "SELECT data FROM vector WHERE run = ? AND kind = 'init' AND step = 0", (run,)
            ).fetchone()
            checkpoint = connection.execute(
                "SELECT data FROM checkpoint WHERE run = ? ORDER BY step DESC LIMIT 1", (run,)
            ).fetchone()
            return Claim(
                run, spec, lr, unpack(initial[0]) if initial else None, checkpoint[0] if checkpoint else None
            )

        return self._write(take)

    def start(self, run: int, *, digest: str, step: int, vectors: Mapping[str, VectorArray]) -> None:
        """A claimed run has its models and begins, or goes on, with `step`."""

        def begin(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE run SET status = 'running', bundle_digest = ? WHERE id = ?", (digest, run)
            )
            _add_vectors(connection, run, 0, vectors)
            _add_event(connection, run, step, Event("started"))

        self._write(begin)

    def record_step(
        self, row: StepRecord, vectors: Mapping[str, VectorArray], checkpoint: bytes | None = None
    ) -> None:
        """Append one row of a trajectory with its vectors; `checkpoint` is the state after its update.

        A row that is there already (made after the checkpoint that a run went on from) is replaced.
        """

        def append(connection: sqlite3.Connection) -> None:
            connection.execute(
                f"INSERT OR REPLACE INTO step ({STEP_COLUMNS}) VALUES (?{', ?' * 12})",
                (
                    row.run,
                    row.step,
                    _finite(row.loss),
                    json.dumps({name: _finite(value) for name, value in row.terms.items()}),
                    _finite(row.similarity),
                    _finite(row.grad_norm),
                    _finite(row.z_norm),
                    row.lr,
                    row.elapsed_ms,
                    row.decoded_z,
                    row.decoded_prediction,
                    row.match,
                    row.state_hash,
                ),
            )
            _add_vectors(connection, row.run, row.step, vectors)
            if checkpoint is not None:
                # From the last row no update is made: its state is still the one before update n.
                _add_checkpoint(connection, row.run, row.step + (row.lr is not None), checkpoint)

        self._write(append)

    def add_event(self, run: int, step: int | None, event: Event) -> None:
        """Record an event that changes nothing else."""
        self._write(lambda connection: _add_event(connection, run, step, event))

    def end(self, run: int, step: int, status: Status, event: Event, error: str | None = None) -> None:
        """The run has finished or failed; of its checkpoints the last one stays."""

        def finish(connection: sqlite3.Connection) -> None:
            _set_status(connection, run, status, error=error)
            _add_event(connection, run, step, event)
            _prune_checkpoints(connection, run)

        self._write(finish)

    def park(self, run: int, step: int, checkpoint: bytes, event: Event) -> None:
        """Let go of a run: it is paused, and no process holds it until it is resumed."""

        def let_go(connection: sqlite3.Connection) -> None:
            _set_status(connection, run, Status.PAUSED)
            _add_checkpoint(connection, run, step, checkpoint)
            _add_event(connection, run, step, event)

        self._write(let_go)

    def status(self, run: int) -> Status:
        """The stored status of a run."""
        return Status(self._connection.execute("SELECT status FROM run WHERE id = ?", (run,)).fetchone()[0])

    def lr(self, run: int) -> float:
        """The learning rate in force of a run."""
        return float(self._connection.execute("SELECT lr FROM run WHERE id = ?", (run,)).fetchone()[0])

    def next_step(self, run: int) -> int:
        """The step with which a run that no worker holds would go on."""
        return _next_step(self._connection, run)

    # Commands

    def pending_commands(self) -> list[CommandRecord]:
        """What viewers have asked for and not been answered, oldest first."""
        rows = self._connection.execute(
            f"{SELECT_COMMAND} WHERE device = ? AND status = 'pending' ORDER BY id", (self.device,)
        ).fetchall()
        return [command_record(row) for row in rows]

    def apply(
        self,
        command: CommandRecord,
        step: int | None,
        *,
        event: Event | None = None,
        status: Status | None = None,
        lr: float | None = None,
        checkpoint: bytes | None = None,
    ) -> None:
        """Acknowledge a command together with what it changed; `step` is the first that it affects."""

        def acknowledge(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE command SET status = 'applied', applied_step = ? WHERE id = ?", (step, command.id)
            )
            if command.run is None:
                return
            if status is not None:
                _set_status(connection, command.run, status, keep_worker=status.is_held_by_worker)
            if lr is not None:
                connection.execute("UPDATE run SET lr = ? WHERE id = ?", (lr, command.run))
            if checkpoint is not None and step is not None:
                _add_checkpoint(connection, command.run, step, checkpoint)
            if status is not None and status.has_ended:
                _prune_checkpoints(connection, command.run)
            if event is not None:
                _add_event(connection, command.run, step, event)

        self._write(acknowledge)

    def reject(self, command: CommandRecord, reason: str) -> None:
        """Answer a command with the reason why it cannot be done."""
        self._write(
            lambda connection: connection.execute(
                "UPDATE command SET status = 'rejected', reason = ? WHERE id = ?", (reason, command.id)
            )
        )

    def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        while True:
            try:
                return self._in_transaction(change)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _TRANSIENT:  # the low byte is the primary code
                    raise
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


def _add_event(connection: sqlite3.Connection, run: int, step: int | None, event: Event) -> None:
    connection.execute(
        "INSERT INTO event (run, step, time, kind, detail, who) VALUES (?, ?, ?, ?, ?, ?)",
        (run, step, time.time(), event.kind, event.detail, event.who),
    )


def _add_vectors(
    connection: sqlite3.Connection, run: int, step: int, vectors: Mapping[str, VectorArray]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO vector (run, step, kind, dimension, data) VALUES (?, ?, ?, ?, ?)",
        [(run, step, kind, vector.size, pack(vector)) for kind, vector in vectors.items()],
    )


def _add_checkpoint(connection: sqlite3.Connection, run: int, step: int, data: bytes) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO checkpoint (run, step, created, data) VALUES (?, ?, ?, ?)",
        (run, step, time.time(), data),
    )


def _prune_checkpoints(connection: sqlite3.Connection, run: int) -> None:
    connection.execute(
        "DELETE FROM checkpoint WHERE run = :run"
        " AND step < (SELECT max(step) FROM checkpoint WHERE run = :run)",
        {"run": run},
    )


def _next_step(connection: sqlite3.Connection, run: int) -> int:
    """Where a run goes on: after its last checkpoint, or from its start."""
    row = connection.execute("SELECT max(step) FROM checkpoint WHERE run = ?", (run,)).fetchone()
    return int(row[0] or 0)


def _finite(value: float | None) -> float | None:
    """SQLite stores NaN as NULL anyway; infinities go the same way, so that readers need no third case."""
    return value if value is not None and math.isfinite(value) else None
