"""Read what happens around runs: events, break-points, commands, tasks and workers."""

from dataclasses import replace
from typing import Any

from engine import process
from engine.errors import UserError
from engine.store.json_columns import json_object
from engine.store.open_database import OpenDatabase, Row
from engine.store.records import BreakPointRecord, CommandRecord, EventRecord, TaskRecord, WorkerRecord

SELECT_COMMAND = (
    "SELECT id, run, device, kind, arguments, requested, who, status, applied_step, reason FROM command"
)

SELECT_TASK = (
    "SELECT task.id, task.device, task.run, task.kind, task.arguments, task.requested, task.who, task.status,"
    " task.done, task.total, task.result, task.error, task.ended, task.worker_pid, task.worker_start,"
    " worker.heartbeat"
    " FROM task LEFT JOIN worker ON worker.device = task.device AND worker.pid = task.worker_pid"
)


class SteeringReader(OpenDatabase):
    """Reads what was asked for, and what became of it."""

    def events(self, run_id: int, *, after: int = 0) -> list[EventRecord]:
        """Events of a run with an id above `after`, in order."""
        rows = self.rows(
            "SELECT id, run, step, time, kind, detail, who FROM event WHERE run = ? AND id > ? ORDER BY id",
            (run_id, after),
        )
        return [EventRecord(*row) for row in rows]

    def break_points(self, run_id: int) -> list[BreakPointRecord]:
        """The conditions under which a run pauses, in the order in which they were set."""
        rows = self.rows(
            "SELECT id, run, condition, created, who FROM break_point WHERE run = ? ORDER BY id", (run_id,)
        )
        return [BreakPointRecord(*row) for row in rows]

    def commands(self, run_id: int, *, status: str | None = None) -> list[CommandRecord]:
        """Commands for a run, oldest first; those of one status if asked."""
        where, arguments = ("AND status = ?", (run_id, status)) if status is not None else ("", (run_id,))
        rows = self.rows(f"{SELECT_COMMAND} WHERE run = ? {where} ORDER BY id", arguments)
        return [command_record(row) for row in rows]

    def command(self, command_id: int) -> CommandRecord:
        """One command, to see what became of it."""
        rows = self.rows(f"{SELECT_COMMAND} WHERE id = ?", (command_id,))
        if not rows:
            raise UserError(f"command: there is no command {command_id} in {self.path}")
        return command_record(rows[0])

    def task(self, task_id: int) -> TaskRecord:
        """One task, to see how it stands.

        Raises:
            UserError: there is no such task.
        """
        rows = self.rows(f"{SELECT_TASK} WHERE task.id = ?", (task_id,))
        if not rows:
            raise UserError(f"task: there is no task {task_id} in {self.path}")
        return task_record(rows[0])

    def tasks(
        self, *, run: int | None = None, kind: str | None = None, status: str | None = None
    ) -> list[TaskRecord]:
        """All tasks, oldest first; those for a run, of a kind and of a status if asked."""
        records = [
            task_record(row)
            for row in self.rows(
                f"{SELECT_TASK} WHERE (:run IS NULL OR task.run = :run) AND (:kind IS NULL OR kind = :kind)"
                " ORDER BY task.id",
                {"run": run, "kind": kind},
            )
        ]
        return [record for record in records if status in (None, record.status)]

    def workers(self) -> list[WorkerRecord]:
        """Workers that have ever described themselves, one for each device."""
        rows = self.rows(
            "SELECT device, pid, start, started, heartbeat, state, idle_timeout_s, log, device_name,"
            " memory_used, memory_total, utilisation FROM worker ORDER BY device"
        )
        return [WorkerRecord(*(*row, process.is_alive(row[1], row[2]))) for row in rows]


def command_record(row: Row) -> CommandRecord:
    """A row of SELECT_COMMAND as a record."""
    arguments = json_object(row[4])
    values: Row = (*row[:4], arguments or {}, *row[5:], arguments is not None)
    return CommandRecord(*values)


def task_record(row: Row) -> TaskRecord:
    """A row of SELECT_TASK as a record; a task whose worker is gone has failed."""
    *columns, pid, start, heartbeat = row
    values: Row = (
        *columns[:4],
        json_object(columns[4]) or {},
        *columns[5:10],
        _task_result(columns[10]),
        *columns[11:],
    )
    task = TaskRecord(*values)
    if task.status == "running" and process.is_gone(pid, start, heartbeat):
        return replace(task, status="failed", error=f"the worker (process {pid}) is gone; ask again")
    return task


def _task_result(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json_object(text)
