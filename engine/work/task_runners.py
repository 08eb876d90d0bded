"""What works out each kind of task, in small pieces: runs and commands have their turn in between."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.spec import RunSpec
from engine.store.records import TaskRecord
from engine.store.run_changes import Event

if TYPE_CHECKING:  # torch is imported when the first task or run needs it
    from engine.models.loaded import LoadedBundle


@dataclass(frozen=True)
class TaskContext:
    """What a task is worked out with."""

    database: Path
    """To be read through a Reader; what a task writes is its result."""

    device: str
    """The worker's device."""

    load_bundle: Callable[[RunSpec], "LoadedBundle"]
    """The models of a spec, on the worker's device; they stay loaded between calls."""


@dataclass(frozen=True)
class Progress:
    """How far a task is."""

    done: int
    total: int | None = None


@dataclass(frozen=True)
class TaskOutcome:
    """What came of a task."""

    result: Mapping[str, Any]
    """As JSON can hold it."""

    event: Event | None = None
    """What it means for the history of the task's run."""


TaskRunner = Callable[[TaskContext, TaskRecord], Generator[Progress, None, TaskOutcome]]
"""Works out one task: yields after each piece, which takes about as long as a step, and returns the outcome.

It raises UserError where the task cannot be done. When it is cancelled the generator is closed.
"""

_RUNNERS = {
    "verify": ("engine.work.verification", "verify"),
    "interpolate": ("engine.work.interpolation", "interpolate"),
}
"""Module and name of each kind's runner."""


def task_runner(kind: str) -> TaskRunner:
    """The runner of a kind of task; with it torch is imported."""
    module, name = _RUNNERS[kind]
    runner: TaskRunner = getattr(import_module(module), name)
    return runner
