"""Answers to what viewers have asked of the worker."""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from engine.store.patient_connection import PatientConnection
from engine.store.records import CommandRecord, Status
from engine.store.run_changes import (
    Event,
    add_checkpoint,
    add_event,
    prune_checkpoints,
    set_break_points,
    set_status,
)
from engine.store.steering_reading import SELECT_COMMAND, command_record


class CommandAnswers(PatientConnection):
    """Commands, and what became of them."""

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
                set_status(connection, command.run, status, keep_worker=status.is_held_by_worker)
            connection.execute(
                "UPDATE run SET lr = coalesce(?, lr), weights = coalesce(?, weights),"
                " schedules = coalesce(?, schedules), loss_name = coalesce(?, loss_name),"
                " steps = coalesce(?, steps) WHERE id = ?",
                (*changed, command.run),
            )
            if break_points is not None:
                set_break_points(connection, command.run, break_points, command.who)
            if checkpoint is not None and step is not None:
                add_checkpoint(connection, command.run, step, checkpoint)
            if status is not None and status.has_ended:
                prune_checkpoints(connection, command.run)
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
