"""What the worker writes: rows, vectors, events, checkpoints, states and answers to commands.

Plain tuples through one sqlite3 connection, one transaction for each thing that must be true at once.
"""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import process
from engine.store.appending import NewRow, add_vectors, append_rows
from engine.store.command_answers import CommandAnswers
from engine.store.office import Office
from engine.store.records import SentenceRecord, Status, StepRecord
from engine.store.run_changes import (
    QUEUED,
    Event,
    InForce,
    Settings,
    add_checkpoint,
    add_event,
    in_force,
    next_step,
    prune_checkpoints,
    recorded_settings,
    set_status,
)
from engine.store.trajectory_reading import STEP_COLUMNS, step_records
from engine.store.vectors import VectorArray, unpack

ROWS_LOG_PAGES = 4000
"""For whoever records rows: the last pages of many runs are written again at every step, and copied the less
often. Meanwhile another connection's `beat` copies what there is at SQLite's limit, with nobody waiting."""

_HELD = tuple(str(status) for status in Status if status.is_held_by_worker)


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
class NewStep:
    """A row of a trajectory, and what is true with it."""

    made: NewRow
    checkpoint: bytes | None = None
    """The state after its update, to go on from."""
    events: Sequence[Event] = ()
    """What happened right after the row."""
    pause_before: int | None = None
    """With the row the run is paused, and `checkpoint` is its state before this step, to go on from."""


class Recorder(Office, CommandAnswers):
    """The worker's connection to one database, for the runs of one device."""

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
                    set_status(connection, run, Status.CRASHED, error=error)
                    add_event(connection, run, next_step(connection, run), Event("crashed", error))
                    crashed.append(int(run))
            return crashed

        return self.write(mark)

    def queued(self, most: int) -> list[tuple[int, InForce]]:
        """The oldest queued runs of the device, by their ids, in their order."""

        def look() -> list[tuple[int, InForce]]:
            runs = self._connection.execute(
                f"SELECT run.id {QUEUED} ORDER BY run.id LIMIT ?", (self.device, most)
            ).fetchall()
            return [(run, in_force(self._connection, run)) for (run,) in runs]

        return self._patiently(look)

    def claim(self, pid: int, run: int | None = None) -> Claim | None:
        """Take a queued run of the device, the oldest one if `run` is None; None when it is not queued."""

        def take(connection: sqlite3.Connection) -> Claim | None:
            row = connection.execute(
                f"SELECT run.id, bundle_digest {QUEUED} AND coalesce(run.id = ?, TRUE)"
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
                in_force(connection, taken),
                digest,
                unpack(initial[0]) if initial else None,
                checkpoint[0] if checkpoint else None,
                recorded_settings(connection, taken),
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
            remade = append_rows(connection, [step.made for step in steps])
            for step, how in zip(steps, remade, strict=True):
                _take_step(connection, step, how)

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
            set_status(connection, run, status, error=error)
            add_event(connection, run, step, event)
            prune_checkpoints(connection, run)

        self.write(finish)

    def park(self, run: int, step: int, checkpoint: bytes, event: Event) -> None:
        """Let go of a run: it is paused, and no process holds it until it is resumed."""

        def let_go(connection: sqlite3.Connection) -> None:
            set_status(connection, run, Status.PAUSED)
            add_checkpoint(connection, run, step, checkpoint)
            add_event(connection, run, step, event)

        self.write(let_go)

    def put_back(self, run: int, step: int, status: Status, event: Event) -> None:
        """Let go of a run whose state is lost: it goes on from its last checkpoint, at once where `status` is
        queued.
        """

        def let_go(connection: sqlite3.Connection) -> None:
            set_status(connection, run, status)
            add_event(connection, run, step, event)

        self.write(let_go)

    def status(self, run: int) -> Status:
        """The stored status of a run."""
        return Status(self.read("SELECT status FROM run WHERE id = ?", (run,))[0][0])

    def in_force(self, run: int) -> InForce:
        """What a run was asked for, and what of it has been changed since."""
        return self._patiently(lambda: in_force(self._connection, run))

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
        return self._patiently(lambda: next_step(self._connection, run))


def _take_step(connection: sqlite3.Connection, new: NewStep, remade: str | None) -> None:
    row = new.made.row
    after = row.step + (row.lr is not None)  # from the last row no update is made: it stays at its step
    if remade is not None:
        add_event(connection, row.run, row.step, Event("remade", remade))
    if new.pause_before is not None:
        set_status(connection, row.run, Status.PAUSED, keep_worker=True)
        connection.execute("DELETE FROM checkpoint WHERE run = ? AND step > ?", (row.run, new.pause_before))
    if new.checkpoint is not None:
        step = after if new.pause_before is None else new.pause_before
        add_checkpoint(connection, row.run, step, new.checkpoint)
    for event in new.events:
        add_event(connection, row.run, after, event)
