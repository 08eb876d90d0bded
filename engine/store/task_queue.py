"""The worker's side of tasks: take the next one, say how far it is, write down what came of it."""

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from engine import process
from engine.store.recording import Recorder
from engine.store.records import TaskRecord
from engine.store.run_changes import Event, add_event
from engine.store.steering_reading import SELECT_TASK, task_record


class TaskQueue:
    """The tasks of one device."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def fail_lost(self) -> list[int]:
        """Fail the tasks whose worker process is gone, and return their ids.

        They are not begun again: one of them may be what the worker died of.
        """

        def fail(connection: sqlite3.Connection) -> list[int]:
            lost = []
            for task, pid, start, heartbeat in connection.execute(
                "SELECT task.id, worker_pid, worker_start, worker.heartbeat FROM task"
                " LEFT JOIN worker ON worker.device = task.device AND worker.pid = task.worker_pid"
                " WHERE task.device = ? AND task.status = 'running'",
                (self._recorder.device,),
            ).fetchall():
                if process.is_gone(pid, start, heartbeat):
                    error = f"the worker (process {pid}) is gone; ask again"
                    _end(connection, task, "failed", error=error)
                    lost.append(int(task))
            return lost

        return self._recorder.write(fail)

    def claim(self, pid: int) -> TaskRecord | None:
        """Take the oldest pending task of the device; None when there is none."""

        def take(connection: sqlite3.Connection) -> TaskRecord | None:
            row = connection.execute(
                "SELECT id FROM task WHERE device = ? AND status = 'pending' ORDER BY id LIMIT 1",
                (self._recorder.device,),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE task SET status = 'running', worker_pid = ?, worker_start = ? WHERE id = ?",
                (pid, process.process_start(pid), row[0]),
            )
            return task_record(connection.execute(f"{SELECT_TASK} WHERE task.id = ?", row).fetchone())

        is_there = self._recorder.read(
            "SELECT 1 FROM task WHERE device = ? AND status = 'pending' LIMIT 1", (self._recorder.device,)
        )
        return self._recorder.write(take) if is_there else None

    def is_wanted(self, task: int) -> bool:
        """Whether a task that was claimed is still to be done: not cancelled, nor deleted with its run."""
        return self._recorder.read("SELECT status FROM task WHERE id = ?", (task,)) == [("running",)]

    def progress(self, task: int, done: int, total: int | None) -> None:
        """Say how much is done."""
        self._recorder.write(
            lambda connection: connection.execute(
                "UPDATE task SET done = ?, total = ? WHERE id = ? AND status = 'running'", (done, total, task)
            )
        )

    def finish(self, task: TaskRecord, result: Mapping[str, Any], event: Event | None = None) -> None:
        """Write down the result, and with it what it means for the history of the task's run."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE task SET done = coalesce(total, done) WHERE id = ?", (task.id,))
            if _end(connection, task.id, "done", result=result) and event is not None:
                assert task.run is not None
                add_event(connection, task.run, None, event)

        self._recorder.write(write)

    def fail(self, task: int, error: str) -> None:
        """Write down, in one line, why there is no result."""
        self._recorder.write(lambda connection: _end(connection, task, "failed", error=error))

    def cancel(self, task: int, reason: str) -> None:
        """Give up a task that can be asked for again."""
        self._recorder.write(lambda connection: _end(connection, task, "cancelled", error=reason))


def _end(
    connection: sqlite3.Connection,
    task: int,
    status: str,
    *,
    result: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """End a task that is running; False when it has been cancelled meanwhile."""
    ended = connection.execute(
        "UPDATE task SET status = ?, result = ?, error = ?, ended = ? WHERE id = ? AND status = 'running'",
        (status, None if result is None else json.dumps(result), error, time.time(), task),
    )
    return ended.rowcount == 1
