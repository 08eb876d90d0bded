"""What the watcher of the database tells the screen: messages, and the frozen snapshots in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from textual.message import Message

from engine.store.records import CommandRecord, EventRecord, RunRecord, StepRecord, WorkerRecord
from tui.sparkline import Curve


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the list shows it."""

    record: RunRecord
    curve: Curve
    """Mean losses of equal stretches of steps, for the sparkline."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """The worker of a device."""

    device: str
    state: str
    alive: bool
    device_name: str | None = None
    """What the card calls itself; None, like its figures, where there is no GPU."""
    memory_used: int | None = None
    """Bytes, of all programs."""
    memory_total: int | None = None
    """Bytes"""
    utilisation: int | None = None
    """Percent"""

    @classmethod
    def of(cls, worker: WorkerRecord) -> Self:
        """A worker as it is stored; a dead one's last figures say nothing about the card now."""
        figures = (worker.device_name, worker.memory_used, worker.memory_total, worker.utilisation)
        return cls(worker.device, worker.state, worker.alive, *(figures if worker.alive else ()))


class RunsRead(Message):
    """The list of runs, newest first, or the workers have changed."""

    def __init__(
        self, runs: tuple[RunView, ...], workers: tuple[WorkerView, ...], notice: str | None
    ) -> None:
        super().__init__()
        self.runs = runs
        self.workers = workers
        self.notice = notice
        """One line about the database itself, for example that it is read-only."""


class TrajectoryRead(Message):
    """Something new about the selected run: the next steps, events, and where its commands stand."""

    def __init__(
        self,
        run: int,
        steps: Sequence[StepRecord],
        events: Sequence[EventRecord],
        commands: tuple[CommandRecord, ...],
        *,
        is_first: bool,
        is_complete: bool,
        is_before: bool = False,
        at_s: float,
    ) -> None:
        super().__init__()
        self.run = run
        self.steps = steps
        """In order, without gaps between them."""
        self.events = events
        self.commands = commands
        """The pending ones, the newest, and the one that says how far the run goes on; oldest first."""
        self.is_first = is_first
        """The trajectory starts anew with this message; what was read before is void."""
        self.is_complete = is_complete
        """Nothing more was stored when this was read, neither older nor newer."""
        self.is_before = is_before
        """The steps come right before the oldest that were read, and not after the newest."""
        self.at_s = at_s
        """When it was read, on a monotonic clock."""


class RowsRead(Message):
    """Rows of the selected run that were asked for."""

    def __init__(self, run: int, steps: Sequence[StepRecord]) -> None:
        super().__init__()
        self.run = run
        self.steps = steps


class DatabaseMissing(Message):
    """There is no database yet; it is made when the first run is saved."""


class DatabaseUnreadable(Message):
    """The database cannot be read; the thread keeps trying."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class WorkerWanted(Message):
    """A queued run waits on a device that no living worker serves."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
