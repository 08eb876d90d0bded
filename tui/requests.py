"""Ask for things on a thread: writing waits for locks and imports the ORM, and the screen must not.

Requests are carried out one after the other, in the order in which they were made.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from textual.message import Message
from textual.message_pump import MessagePump

from engine.errors import UserError

if TYPE_CHECKING:
    from engine.spec import RunSpec

_LEAVING_TIMEOUT_S = 5.0


class Control(Protocol):
    """What the screen uses of `engine.control`."""

    def queue_run(
        self,
        database: Path,
        spec: "RunSpec",
        *,
        session: str | None = None,
        name: str | None = None,
        break_points: Sequence[str] = (),
    ) -> int:
        """Save a run and have it started; its id."""

    def queue_runs(
        self,
        database: Path,
        specs: Sequence["RunSpec"],
        *,
        session: str | None = None,
        names: Sequence[str | None],
        break_points: Sequence[str] = (),
    ) -> list[int]:
        """Save several runs, all or none, and have them started; their ids."""

    def queue_forks(
        self,
        database: Path,
        run_id: int,
        step: int,
        specs: Sequence["RunSpec"],
        *,
        session: str | None = None,
        names: Sequence[str | None],
        break_points: Sequence[str] = (),
    ) -> list[int]:
        """Save forks of a run's row, all or none, and have them started; their ids."""

    def request(
        self, database: Path, run_id: int, kind: str, arguments: Mapping[str, Any] | None = None
    ) -> int:
        """Save a command for a run; its id."""

    def request_task(
        self,
        database: Path,
        kind: str,
        *,
        run: int | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> int:
        """Save a task for a worker; its id."""

    def cancel_task(self, database: Path, task_id: int) -> None:
        """Have a task given up."""

    def ensure_worker(self, database: Path, device: str) -> None:
        """Start the worker of a device unless it is there."""

    def request_worker_stop(self, database: Path, device: str) -> int | None:
        """Ask the worker of a device to pause its runs and leave; None when there is none."""


class Refused(Message):
    """Something that was asked for cannot be, and nothing was done."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


Work = Callable[[Control], Message | None]


def engine_control() -> Control:
    """The real thing, imported when something is first asked for."""
    from engine import control

    return control


class Requests:
    """The thread that asks."""

    def __init__(self, load_control: Callable[[], Control] = engine_control) -> None:
        self._load_control = load_control
        self._queue: queue.Queue[tuple[MessagePump, Work, Callable[[str], Message]] | None] = queue.Queue()
        self._is_finishing = False
        self._thread = threading.Thread(target=self._carry_out, name="requests", daemon=True)

    def start(self) -> None:
        """Start carrying out requests."""
        self._thread.start()

    def finish(self) -> None:
        """Carry out what was asked for so far, then end; waits five seconds at most, and only once."""
        if not self._is_finishing:
            self._is_finishing = True
            self._queue.put(None)
            if self._thread.is_alive():
                self._thread.join(_LEAVING_TIMEOUT_S)

    def submit(self, to: MessagePump, work: Work, refused: Callable[[str], Message]) -> None:
        """Do `work` on the thread and post what it returns.

        Args:
            to: Who gets the message.
            work: Called with the control; returns the message for success, or None for silence.
            refused: Makes the message for failure, from one line that says why.
        """
        self._queue.put((to, work, refused))

    def _carry_out(self) -> None:
        while (request := self._queue.get()) is not None:
            to, work, refused = request
            try:
                answer = work(self._load_control())
            except UserError as error:
                answer = refused(str(error))
            except Exception as error:  # nobody above a thread could show it
                answer = refused(f"{type(error).__name__}: {error}")
            if answer is not None:
                to.post_message(answer)
