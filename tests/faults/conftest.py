"""Faults are made for real: other processes are killed, files damaged, locks held, limits set."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.control import queue_run
from engine.process import is_alive
from engine.spec import RunSpec
from engine.store.connection import connect
from engine.store.records import Status, WorkerRecord
from engine.store.schema import prepare
from engine.workerfiles import worker_log
from tests.worker.conftest import Laboratory, laboratory, wait_until

__all__ = ["laboratory"]

LONG = RunSpec(device="cpu", steps=100_000, decode_every=100_000, beam=1, max_decoded_tokens=4)


def command_line(database: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A call of `sonar-explore` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tui", *arguments, "--db", str(database)],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def settle(database: Path) -> None:
    """Fold the write-ahead log into the file, so that its pages are all there is."""
    connection = connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


class LightLaboratory(Laboratory):
    """A laboratory whose worker is `light_worker`."""

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start_worker(self, prelude: str = "") -> subprocess.Popen[bytes]:
        """Start one as viewers do, after some lines of Python have changed what it finds."""
        program = f"import sys\n{prelude}\nimport tests.faults.light_worker\nimport engine.worker\n"
        program += "sys.exit(engine.worker.main())"
        with worker_log(self.database, "cpu").open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", program, "--db", str(self.database), "--device", "cpu"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def wait_for_worker(self) -> WorkerRecord:
        """The worker, once it is there."""
        process = self.processes[-1]
        wait_until(lambda: self.worker() or process.poll(), "the worker")
        assert not process.returncode, self.log
        worker = self.worker()
        assert worker is not None
        return worker

    def running(self, prelude: str = "") -> tuple[int, WorkerRecord]:
        """A run that goes on, and its worker."""
        self.start_worker(prelude)
        worker = self.wait_for_worker()
        run = queue_run(self.database, LONG, session="tests")
        self.wait_for_step(run, 3)
        return run, worker

    @property
    def log(self) -> str:
        """What the workers have said."""
        return worker_log(self.database, "cpu").read_text()

    def check_goes_on_without_a_gap(self, run: int, worker: WorkerRecord) -> None:
        """The run makes more steps, and everything of it is there."""
        with self.reader() as reader:
            last = reader.run(run).last_step or 0
        self.wait_for_step(run, last + 3)
        assert is_alive(worker.pid, worker.start)
        with self.reader() as reader:
            assert reader.run(run).status is Status.RUNNING
            rows = reader.steps(run, limit=100_000)
            assert [row.step for row in rows] == list(range(len(rows)))
            assert all(reader.vector(run, row.step, "z") is not None for row in rows)
        assert self.integrity() == "ok"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without runs; made once, because migrations are slow."""
    path = tmp_path_factory.mktemp("empty") / "sessions.db"
    prepare(path)
    settle(path)
    return path


@pytest.fixture
def light(empty_database: Path, tmp_path: Path) -> Iterator[LightLaboratory]:
    laboratory = LightLaboratory(Path(shutil.copy(empty_database, tmp_path / "sessions.db")))
    yield laboratory
    for process in laboratory.processes:
        process.kill()
        process.wait()


def without_override() -> None:
    """In a child before it starts: not even root writes where the permissions forbid it."""
    import ctypes

    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        pr_capbset_drop, cap_dac_override = 24, 1
        if libc.prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
