"""The office of worker for a database and device: one process holds it."""

import os
import time
from collections.abc import Callable

from filelock import FileLock, Timeout

from engine.store.filesystem import takes_locks
from engine.store.recording import Recorder
from engine.workerfiles import worker_log

PATIENCE_S = 30.0
"""So long a worker that is just leaving is waited for."""

_POLL_S = 0.2


def take_office(
    lock: FileLock, recorder: Recorder, idle_timeout_s: float, *, report: Callable[[str], None]
) -> bool:
    """Take the lock. False: another worker is at work. One that is just leaving is waited for.

    Where files cannot be locked, whoever is alive by the database holds the office.

    Args:
        lock: the worker's of the database and device.
        recorder: of the same.
        idle_timeout_s: after which this worker would leave.
        report: gets a line where files cannot be locked.
    """
    deadline = time.monotonic() + PATIENCE_S
    if not takes_locks(recorder.path.parent):
        report(f"worker: files in {recorder.path.parent} cannot be locked; going by what the database says")
        log = worker_log(recorder.path, recorder.device)
        while not (is_taken := recorder.take_office(os.getpid(), idle_timeout_s, log)):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_S)
        return is_taken
    while time.monotonic() < deadline:
        try:
            lock.acquire(timeout=_POLL_S)
        except Timeout:
            if recorder.another_worker_is_alive():
                return False
        else:
            return True
    return False
