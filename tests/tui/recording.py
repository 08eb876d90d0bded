"""Writes runs into a real database as the worker does, for the screen to read."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.process import boot_id
from engine.spec import PUBLISHED_TARGET, parse_spec
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import CardFigures, CommandRecord, Status, StepRecord
from engine.store.run_changes import Event
from engine.store.writing import add_command, add_run

DIGEST = "0" * 64


class Recording:
    """One database, and this process in the part of its worker."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.path = path
        self.device = device
        self._recorder = Recorder(path, device, report=print)

    def close(self) -> None:
        """Close the database."""
        self._recorder.close()

    def queue(self, *, session: str = "today", name: str | None = None, **fields: object) -> int:
        """Queue a run; fields are those of RunSpec."""
        return add_run(self.path, parse_spec(**fields), device=self.device, session=session, name=name)

    def begin(self, **fields: object) -> int:
        """Queue a run, take it and start it."""
        run = self.queue(**fields)  # type: ignore[arg-type]
        claim = self._recorder.claim(os.getpid())
        assert claim is not None
        assert claim.run == run, "another run was queued before it"
        self.serve(f"running {run}")
        self._recorder.start(run, digest=DIGEST, step=0, vectors={})
        return run

    def serve(self, state: str) -> None:
        """Describe this process as the worker."""
        self._recorder.describe_worker(os.getpid(), state, 600.0, self.path.with_suffix(".log"))

    def beat(self, card: CardFigures | None) -> None:
        """Beat as the worker does, with the figures of its card."""
        self._recorder.beat(os.getpid(), card)

    def steps(self, run: int, rows: Sequence[StepRecord]) -> None:
        """Record rows, one transaction each, as the worker does."""
        for row in rows:
            self._recorder.record_step(row, {})

    def measured_step(self, row: StepRecord, reread_prediction: str) -> None:
        """Record a decoded row with what is predicted from the text of its z."""
        self._recorder.record_step(row, {}, reread_prediction=reread_prediction)

    def many_steps(self, rows: Sequence[StepRecord]) -> None:
        """Record many rows in one transaction."""
        connection = connect(self.path)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO step (run, step, loss, terms, similarity, z_norm, lr)"
            " VALUES (?, ?, ?, '{}', ?, ?, ?)",
            [(row.run, row.step, row.loss, row.similarity, row.z_norm, row.lr) for row in rows],
        )
        connection.execute("COMMIT")
        connection.close()

    def event(self, run: int, step: int | None, kind: str, detail: str = "") -> None:
        """Record an event."""
        self._recorder.add_event(run, step, Event(kind, detail))

    def end(self, run: int, step: int, status: Status, error: str | None = None) -> None:
        """End a run."""
        self._recorder.end(run, step, status, Event(str(status), error or ""), error)

    def ask(self, run: int, kind: str, arguments: Mapping[str, object] | None = None) -> CommandRecord:
        """Save a command as a viewer does."""
        command = add_command(self.path, device=self.device, kind=kind, run=run, arguments=arguments)
        with Reader(self.path) as reader:
            return reader.command(command)

    def pause(self, run: int, step: int) -> None:
        """Pause a run, as a command asked."""
        command = self.ask(run, "pause")
        self._recorder.apply(command, step, events=[Event("paused", who=command.who)], status=Status.PAUSED)

    def resume(self, run: int, step: int, arguments: Mapping[str, object]) -> None:
        """Let a run go on, as a command asked."""
        command = self.ask(run, "resume", arguments)
        event = Event("resumed", who=command.who)
        self._recorder.apply(command, step, events=[event], status=Status.RUNNING)

    def set_lr(self, run: int, step: int, old: float, new: float) -> None:
        """Change the learning rate of a run, as a command asked."""
        command = self.ask(run, "set", {"lr": new})
        events = [Event("lr", f"{old:g} → {new:g}", command.who)]
        self._recorder.apply(command, step, events=events, lr=new)

    def set_weights(self, run: int, step: int, detail: str, weights: Mapping[str, float], name: str) -> None:
        """Change the weights of a run's terms, as a command asked; `name` is the objective then."""
        command = self.ask(run, "set", {"weights": dict(weights)})
        events = [Event("weight", detail, command.who)]
        self._recorder.apply(command, step, events=events, weights=weights, loss_name=name)

    def extend(self, run: int, step: int, old: int, new: int) -> None:
        """Add steps to a run, as a command asked."""
        command = self.ask(run, "extend", {"steps": new - old})
        event = Event("extended", f"{old} → {new}", command.who)
        self._recorder.apply(command, step, events=[event], steps=new)

    def remove_break_point(self, run: int, step: int, condition: str, left: Sequence[str]) -> None:
        """Take a break-point from a run, as a command asked."""
        command = self.ask(run, "unbreak", {"when": condition})
        event = Event("break-point", f"removed: {condition}", command.who)
        self._recorder.apply(command, step, events=[event], break_points=left)

    def set_break_points(self, run: int, step: int, *conditions: str) -> None:
        """Give a run break-points, as commands asked."""
        for count, condition in enumerate(conditions, 1):
            command = self.ask(run, "break", {"when": condition})
            event = Event("break-point", f"set: {condition}", command.who)
            self._recorder.apply(command, step, events=[event], break_points=conditions[:count])

    def reject(self, command: CommandRecord, reason: str) -> None:
        """Reject a command."""
        self._recorder.reject(command, reason)

    def abandon(self, run: int) -> None:
        """Leave the run with a worker process that is not there."""
        connection = connect(self.path)
        connection.execute("UPDATE run SET worker_start = ? WHERE id = ?", (f"{boot_id()}/0", run))
        connection.close()

    def set_origin(self, run: int, origin: str) -> None:
        """Mark a run as published."""
        connection = connect(self.path)
        connection.execute("UPDATE run SET origin = ? WHERE id = ?", (origin, run))
        connection.close()


def row(run: int, step: int, **values: object) -> StepRecord:
    """A row with plausible figures; some may be given."""
    loss = 0.1 + 3.5 * math.exp(-step / 6)
    fields: dict[str, object] = {
        "run": run,
        "step": step,
        "loss": loss,
        "terms": {"ce": loss},
        "similarity": 0.05 + 0.1 * (1 - math.exp(-step / 8)),
        "grad_norm": 1.0,
        "z_norm": 0.207,
        "lr": 0.01,
        "elapsed_ms": 20.0,
        "decoded_z": None,
        "decoded_prediction": None,
        "match": None,
        "state_hash": None,
    }
    return StepRecord(**(fields | values))  # type: ignore[arg-type]


def published_like_rows(run: int, steps: int) -> list[StepRecord]:
    """Rows as the published experiment has them, decoded at every tenth step."""
    rows = []
    for step in range(steps):
        values: dict[str, object] = {}
        if step % 10 == 0:
            is_match = step >= 10
            values = {
                "decoded_prediction": PUBLISHED_TARGET if is_match else "I eat cheese every day.",
                "decoded_z": "(Yes) One lot is ready." if is_match else '"Yeah" is "Yeah" is "Yeah".',
                "match": is_match,
            }
        rows.append(row(run, step, **values))
    return rows
