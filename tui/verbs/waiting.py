"""Have a worker work something out, and wait for it with a bar on stderr."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from engine.store.reading import Reader
from engine.store.records import TaskRecord

_WORKER_CHECK_S = 2.0


def worked_out(
    database: Path,
    kind: str,
    *,
    run: int,
    device: str | None = None,
    arguments: Mapping[str, Any],
    description: str,
) -> TaskRecord:
    """A task once it has ended. Ctrl-C has it given up.

    Args:
        database: Where the run is.
        kind: One of engine.tasks.TASKS.
        run: The run that it is about.
        device: Whose worker does it; that of the run's if None.
        arguments: As the kind takes them.
        description: What stands before the bar.

    Raises:
        UserError: it cannot be done, and nothing has been asked.
    """
    from engine.control import cancel_task, ensure_worker, request_task, wait_for_task

    task_id = request_task(database, kind, run=run, device=device, arguments=arguments)
    bar = TaskBar(description)
    try:
        with Reader(database) as reader, bar:
            while not (task := wait_for_task(reader, task_id, _WORKER_CHECK_S, bar.show)).has_ended:
                ensure_worker(database, task.device)
    except KeyboardInterrupt:
        cancel_task(database, task_id)
        raise
    return task


class TaskBar:
    """A bar on stderr, where that is a terminal."""

    def __init__(self, description: str) -> None:
        """Nothing is drawn yet."""
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._line = self._bar.add_task(description, total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, task: TaskRecord) -> None:
        """Draw how far it is."""
        self._bar.update(self._line, completed=task.done, total=task.total)
