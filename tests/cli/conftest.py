"""A database as a worker leaves it, and the command line as a user calls it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.spec import RunSpec
from engine.store.recording import Recorder
from engine.store.records import Status, StepRecord
from engine.store.run_changes import Event
from engine.store.schema import prepare
from engine.store.writing import add_run
from tests.worker.conftest import forked_workers, wait_until
from tests.worker.forked_workers import has_worker, start_forked_worker
from tui import cli

__all__ = ["forked_workers"]

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07[bold]a|b[/bold]\r\n\u202etxt\u200b `<img src=x>` \x9b31m \U0001f600 "
    + "x" * 10_000
)
"""Escape sequences, markup, a cell's end, line breaks, a right-to-left override, HTML, and length."""

IDLE_MINUTES = "0.2"
"""A worker that a failing test leaves behind goes soon."""

TARGET = "Once upon a time, there was a little girl named Lily."


@dataclass(frozen=True)
class Answer:
    """What a call ended with and printed."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line in this process."""
    monkeypatch.delenv("SONAR_EXPLORE_DB", raising=False)
    monkeypatch.setenv("SONAR_EXPLORE_IDLE_MINUTES", IDLE_MINUTES)

    def do(*arguments: str | Path) -> Answer:
        code = cli.call([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return do


def run_program(
    *arguments: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m tui` without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tui", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"SONAR_EXPLORE_IDLE_MINUTES": IDLE_MINUTES} | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def with_a_worker(database: Path) -> None:
    """Let a database have a worker that waits for two minutes: a program that is called then starts none."""
    prepare(database)
    if not has_worker(database):
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("SONAR_EXPLORE_IDLE_MINUTES", "2")
            start_forked_worker(database)
        wait_until(lambda: has_worker(database), "the worker")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Run 1 has finished with a match, run 2 was stopped and holds hostile texts, run 3 crashed early."""
    path = tmp_path / "sessions.db"
    finished = add_run(path, RunSpec(steps=4, decode_every=2), device="cpu", session="tidy", name="bold")
    hostile = add_run(path, RunSpec(weights={"cosine": 1.0}), device="cpu", session="hostile")
    crashed = add_run(path, RunSpec(lr=0.5), device="cuda:0", session="hostile")
    texts: dict[int, tuple[str, str, bool]] = {
        0: ("I like cheese.", "I eat cheese every day.", False),
        2: ("=1+1", TARGET, True),
        4: ('"Yes", it said.', TARGET, True),
    }
    with recorder_of(path) as recorder:
        recorder.start(
            finished, digest="0123456789abcdef", step=0, vectors={"target": np.full(3, 9, np.float32)}
        )
        for number in range(5):
            z, prediction, match = texts.get(number, (None, None, None))
            vectors = {"z": np.full(3, number, np.float32)}
            if prediction is not None:
                vectors["prediction"] = np.full(3, -number, np.float32)
            row = record(finished, number, 4, decoded_z=z, decoded_prediction=prediction, match=match)
            recorder.record_step(row, vectors)
        recorder.end(finished, 4, Status.FINISHED, Event("finished", "match"))
        for number in range(2):
            texts_of_row = {"decoded_z": HOSTILE, "decoded_prediction": HOSTILE, "match": False}
            recorder.record_step(record(hostile, number, 100, terms={"cosine": -0.5}, **texts_of_row), {})
        recorder.end(hostile, 2, Status.STOPPED, Event("stopped"))
        recorder.record_step(record(crashed, 0, 100), {})
        recorder.end(crashed, 1, Status.CRASHED, Event("crashed", "the worker is gone"), "the worker is gone")
    return path


def record(run: int, number: int, steps: int, **values: object) -> StepRecord:
    """A row whose numbers can be recognised."""
    loss = 3.592 / (number + 1)
    defaults: dict[str, object] = {
        "run": run,
        "step": number,
        "loss": loss,
        "terms": {"ce": loss},
        "similarity": 0.05 + number / 100,
        "grad_norm": 2.0,
        "z_norm": 0.207,
        "lr": None if number == steps else 0.01,
        "elapsed_ms": 5.0,
        "decoded_z": None,
        "decoded_prediction": None,
        "match": None,
        "state_hash": f"{number:016x}",
    }
    return StepRecord(**{**defaults, **values})  # type: ignore[arg-type]


def is_harmless(text: str) -> bool:
    """Whether a text holds line breaks and printable characters only."""
    return all(character == "\n" or character.isprintable() for character in text)


@contextmanager
def recorder_of(path: Path) -> Iterator[Recorder]:
    """A worker's connection to a database."""
    recorder = Recorder(path, "cpu", report=lambda line: None)
    try:
        yield recorder
    finally:
        recorder.close()
