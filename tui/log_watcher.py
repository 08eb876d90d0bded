"""Watch what happens to one run, on a thread: its events in the database, and its worker's log file."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import UserError
from engine.store.records import EventRecord, RunRecord
from tui.log_tail import LogTail

if TYPE_CHECKING:
    from engine.store.reading import Reader

_POLL_INTERVAL_S = 0.2
_LIVENESS_INTERVAL_S = 1.0
"""A worker that was killed changes nothing in the database."""

_REOPEN_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class LogView:
    """What the log shows of a run."""

    run: RunRecord
    events: tuple[EventRecord, ...]
    path: Path
    """The worker's log file."""
    log: tuple[str, ...]
    """Its newest lines, oldest first."""
    dropped: int
    """Lines before those that were read earlier."""
    problem: str | None
    """Why there are none."""


class LogRead(Message):
    """Something has happened."""

    def __init__(self, view: LogView) -> None:
        super().__init__()
        self.view = view


class LogUnreadable(Message):
    """The database cannot be read; the thread keeps trying."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class LogWatcher:
    """The thread."""

    def __init__(self, database: Path, run: int, post: Callable[[Message], object]) -> None:
        self._database = database
        self._run = run
        self._post = post
        self._thread = threading.Thread(target=self._watch, name="log-watcher", daemon=True)
        self._stopping = threading.Event()
        self._reader: Reader | None = None
        self._version: int | None = None
        self._look_again_s = 0.0
        self._record: RunRecord | None = None
        self._events: tuple[EventRecord, ...] = ()
        self._tail: LogTail | None = None
        self._posted: object = None

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait until the connection is closed; at most two seconds, so on a thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            pause_s = _POLL_INTERVAL_S
            try:
                self._look()
            except Exception as error:  # nobody above a thread could show it
                self._close()
                reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                if reason != self._posted:
                    self._posted = reason
                    self._post(LogUnreadable(reason))
                pause_s = _REOPEN_INTERVAL_S
            self._stopping.wait(pause_s)
        self._close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _look(self) -> None:
        if self._reader is None:
            from engine.store.reading import Reader

            self._reader = Reader(self._database)
            self._version, self._events = None, ()
        now, version = time.monotonic(), self._reader.data_version()
        if version != self._version or now >= self._look_again_s:
            self._version, self._look_again_s = version, now + _LIVENESS_INTERVAL_S
            self._read_run(self._reader)
        assert self._record is not None
        assert self._tail is not None
        is_new = self._tail.read()
        # Not all of the record, whose newest figures change with every step and are not shown here.
        state = (self._record.status, self._record.error, len(self._events), self._tail.path)
        if is_new or state != self._posted:
            self._posted = state
            tail = self._tail
            view = LogView(
                self._record, self._events, tail.path, tuple(tail.lines), tail.dropped, tail.problem
            )
            self._post(LogRead(view))

    def _read_run(self, reader: "Reader") -> None:
        from engine.workerfiles import worker_log

        self._record = replace(reader.run(self._run), heartbeat=None)
        newest = self._events[-1].id if self._events else 0
        self._events = (*self._events, *reader.events(self._run, after=newest))
        logs = (Path(worker.log) for worker in reader.workers() if worker.device == self._record.device)
        path = next(logs, worker_log(self._database, self._record.device))
        if self._tail is None or self._tail.path != path:
            self._tail = LogTail(path)
