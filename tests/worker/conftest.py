"""Databases whose workers are real processes on the embedded models, and end with the test."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.control import request, wait_for_command
from engine.process import is_alive
from engine.store.reading import Reader
from engine.store.records import CommandRecord, Status, WorkerRecord
from tests.worker.forked_workers import use_forked_workers

PATIENCE_S = 120.0
"""Loading the models on a busy machine takes the most of it."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for something to become true, and say what when it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s for {what}"
        time.sleep(0.01)


class Laboratory:
    """A database, its reader, and what the tests do with both."""

    def __init__(self, database: Path) -> None:
        self.database = database

    def reader(self) -> Reader:
        return Reader(self.database)

    def worker(self) -> WorkerRecord | None:
        with self.reader() as reader:
            return next((worker for worker in reader.workers() if worker.alive), None)

    def ask(self, run: int, kind: str, **arguments: object) -> CommandRecord:
        """Ask and wait for the answer."""
        command = request(self.database, run, kind, arguments)
        with self.reader() as reader:
            answer = wait_for_command(reader, command, PATIENCE_S)
        assert answer.status != "pending", f"no answer to {kind}"
        return answer

    def wait_for_step(self, run: int, step: int) -> None:
        with self.reader() as reader:
            wait_until(lambda: (reader.run(run).last_step or 0) >= step, f"step {step} of run {run}")

    def wait_for_status(self, run: int, status: Status) -> None:
        with self.reader() as reader:
            wait_until(lambda: reader.run(run).status is status, f"run {run} to be {status}")

    def wait_for_end(self, run: int) -> None:
        with self.reader() as reader:
            wait_until(lambda: reader.run(run).status.has_ended, f"the end of run {run}")

    def kill_worker(self) -> None:
        """`kill -9`, and wait until the process is gone."""
        if worker := self.worker():
            os.kill(worker.pid, signal.SIGKILL)
            wait_until(lambda: not is_alive(worker.pid, worker.start), "the end of the worker")

    def integrity(self) -> str:
        with sqlite3.connect(self.database) as connection:
            return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "sessions.db")
    yield laboratory
    if laboratory.database.exists():
        laboratory.kill_worker()


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that this process asks for are forked and begin at once."""
    use_forked_workers(monkeypatch)
