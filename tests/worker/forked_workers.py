"""Workers that are forked off a process which has imported and loaded everything: they begin at once.

Each is a process like any worker, with a process session of its own and its log beside the database. Only the
seconds are left out in which a new interpreter imports torch and the libraries of the models.
"""

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

import engine.control
from engine.store.reading import Reader
from engine.workerfiles import worker_log

_FORK_SERVER = "tests.worker.fork_server"


def use_forked_workers(
    monkeypatch: pytest.MonkeyPatch, *, with_toy_models: bool = False, runs_ahead: bool = False
) -> None:
    """Whoever in this process wants a worker on the CPU gets one of these; other devices get theirs."""
    ensure_other_worker = engine.control.ensure_worker

    def ensure_worker(database: Path, device: str) -> None:
        if device != "cpu":
            ensure_other_worker(database, device)
        elif not has_worker(database):
            start_forked_worker(database, with_toy_models=with_toy_models, runs_ahead=runs_ahead)

    monkeypatch.setattr(engine.control, "ensure_worker", ensure_worker)


def start_forked_worker(database: Path, *, with_toy_models: bool = False, runs_ahead: bool = False) -> None:
    """Start one, on the embedded models or on tiny ones, that runs ahead of its rows if it shall."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_FORK_SERVER])
    arguments = (database.resolve(), dict(os.environ), with_toy_models, runs_ahead)
    context.Process(target=_work, args=arguments, daemon=True).start()


def has_worker(database: Path) -> bool:
    """Whether one lives that works for a database."""
    with Reader(database) as reader:
        return any(worker.alive for worker in reader.workers())


def _work(database: Path, environment: dict[str, str], with_toy_models: bool, runs_ahead: bool) -> None:
    """Become what engine.control.ensure_worker starts."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    log = os.open(worker_log(database, "cpu"), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for output in (sys.stdout, sys.stderr):
        os.dup2(log, output.fileno())
    from tests.worker.fork_server import serve

    arguments = ["--db", str(database), "--device", "cpu"]
    sys.exit(serve(arguments, with_toy_models=with_toy_models, runs_ahead=runs_ahead))
