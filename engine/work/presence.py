"""What the database is told of a worker: what it is doing, that it is alive, and how its card is doing."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import UserError
from engine.store.recording import Recorder
from engine.work.card import Card
from engine.workerfiles import worker_log

_HEARTBEAT_S = 1.0


class Presence:
    """A worker as others see it."""

    def __init__(self, recorder: Recorder, *, idle_timeout_s: float, report: Callable[[str], None]) -> None:
        """Args:
        recorder: of the worker's database and device.
        idle_timeout_s: after which it leaves.
        report: gets a line when something is not known.
        """
        self._recorder = recorder
        self._idle_timeout_s = idle_timeout_s
        self._report = report
        self._card: Card | None = None

    def describe(self, state: str) -> None:
        """Say what the worker is doing."""
        log = worker_log(self._recorder.path, self._recorder.device)
        self._recorder.describe_worker(os.getpid(), state, self._idle_timeout_s, log)

    def look_at_card(self) -> None:
        """Have the figures of the device's card recorded from now on; CUDA is in use now."""
        if self._card is None and self._recorder.device != "cpu":
            try:
                self._card = Card.of_device(self._recorder.device)
            except UserError as error:
                self._report(str(error))

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Meanwhile say again and again that the worker is alive, whatever it is busy with."""
        stop = threading.Event()
        heart = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        heart.start()
        try:
            yield
        finally:
            stop.set()
            heart.join()

    def _beat(self, stop: threading.Event) -> None:
        recorder: Recorder | None = None  # a connection belongs to its thread
        while not stop.wait(_HEARTBEAT_S):
            try:
                recorder = recorder or Recorder(
                    self._recorder.path, self._recorder.device, report=self._report
                )
            except UserError as error:  # locked by another program, for now
                self._report(f"heartbeat: {error}")
                continue
            if self._recorder.is_in_place():
                recorder.beat(os.getpid(), self._card.figures() if self._card else None)
        if recorder is not None:
            recorder.close()
