"""The task that a worker is at, one piece at a time."""

import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from engine.store.records import TaskRecord
from engine.store.task_queue import TaskQueue
from engine.work.task_runners import Progress, TaskContext, TaskOutcome, task_runner

_PROGRESS_S = 0.2
"""A task says at most so often how far it is."""


@dataclass
class _Active:
    task: TaskRecord
    pieces: Generator[Progress, None, TaskOutcome]
    reported: float = 0.0


class TaskDesk:
    """Takes up the tasks of a device, one after the other."""

    def __init__(
        self,
        queue: TaskQueue,
        context: TaskContext,
        *,
        report: Callable[[str], None],
        explain: Callable[[Exception], str],
    ) -> None:
        """`report` gets a line when a task begins and ends; `explain` puts an error into one."""
        self._queue = queue
        self._context = context
        self._report = report
        self._explain = explain
        self._active: _Active | None = None

    @property
    def activity(self) -> str | None:
        """What is being done, in a few characters: `verify run 7`; None when there is no task."""
        return None if self._active is None else _name(self._active.task)

    def work(self) -> bool:
        """Do one piece of the task in hand, or take up the next one; False when there is none."""
        if self._active is None and (task := self._queue.claim(os.getpid())):
            self._report(f"task {task.id}: {_name(task)}: began")
            self._active = _Active(task, self._begin(task))
            return True
        if self._active is None:
            return False
        active = self._active
        if not self._queue.is_wanted(active.task.id):
            self._leave(active, "was cancelled")
            return True
        try:
            if (outcome := self._piece(active)) is not None:
                self._queue.finish(active.task, outcome.result, outcome.event)
                self._leave(active, "done")
        except Exception as error:
            reason = self._explain(error)
            self._queue.fail(active.task.id, reason)
            self._leave(active, f"failed: {reason}")
        return True

    def give_up(self, reason: str) -> None:
        """Cancel the task in hand: the worker leaves."""
        if self._active is not None:
            self._queue.cancel(self._active.task.id, reason)
            self._leave(self._active, reason)

    def _piece(self, active: _Active) -> TaskOutcome | None:
        try:
            progress = next(active.pieces)
        except StopIteration as finished:
            outcome: TaskOutcome = finished.value
            return outcome
        if time.monotonic() - active.reported >= _PROGRESS_S:
            active.reported = time.monotonic()
            self._queue.progress(active.task.id, progress.done, progress.total)
        return None

    def _begin(self, task: TaskRecord) -> Generator[Progress, None, TaskOutcome]:
        # Finding the runner is the first piece: it imports torch, and may fail.
        yield Progress(0)
        return (yield from task_runner(task.kind)(self._context, task))

    def _leave(self, active: _Active, how: str) -> None:
        active.pieces.close()
        self._active = None
        self._report(f"task {active.task.id}: {_name(active.task)}: {how}")


def _name(task: TaskRecord) -> str:
    return task.kind if task.run is None else f"{task.kind} run {task.run}"
