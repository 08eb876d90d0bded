"""Following a run whose worker is this test: what is printed, and how it ends."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import engine.control
import tui.follow
from engine.spec import RunSpec
from engine.store.appending import NewRow
from engine.store.reading import Reader
from engine.store.recording import NewStep, Recorder
from engine.store.records import Status
from engine.store.run_changes import Event
from engine.store.writing import add_run
from tui.follow import follow, updates
from tui.forms import Form

from .conftest import HOSTILE, is_harmless, record, recorder_of


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`follow` is made for a process of its own and sets signal handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Run 1 is queued."""
    path = tmp_path / "sessions.db"
    add_run(path, RunSpec(steps=3, decode_every=2), device="cpu", session="tests")
    return path


@pytest.fixture
def recorder(database: Path) -> Iterator[Recorder]:
    """The worker of run 1: this process."""
    with recorder_of(database) as recorder:
        assert recorder.claim(os.getpid()) is not None
        yield recorder


def test_updates_bring_every_row_and_event_once_and_end_with_the_run(
    database: Path, recorder: Recorder
) -> None:
    recorder.start(1, digest="d", step=0, vectors={})
    work: list[Callable[[], object]] = [
        *(partial(recorder.record_step, record(1, number, 3), {}) for number in range(4)),
        lambda: recorder.end(1, 3, Status.FINISHED, Event("finished", "no match")),
    ]
    steps, kinds = [], []
    with Reader(database) as reader:
        for update in updates(reader, 1):
            steps += [step.step for step in update.steps]
            kinds += [event.kind for event in update.events]
            if work:
                work.pop(0)()
        assert update.run.status is Status.FINISHED
    assert steps == [0, 1, 2, 3]
    assert kinds == ["created", "started", "finished"]


def test_rows_that_are_made_again_come_again_with_the_reason(database: Path, recorder: Recorder) -> None:
    """Row 2 is not finite and pauses the run, which goes back to step 1 and on with another lr."""
    recorder.start(1, digest="d", step=0, vectors={})
    again = [record(1, number, 3, lr=None if number == 3 else 0.002) for number in (1, 2, 3)]
    work: list[Callable[[], object]] = [
        *(partial(recorder.record_step, record(1, number, 3), {}) for number in range(2)),
        lambda: recorder.record_steps(
            [
                NewStep(
                    NewRow(record(1, 2, 3, loss=float("nan"), lr=None)),
                    b"",
                    events=[Event("break-point", "met: not-finite")],
                    pause_before=1,
                )
            ]
        ),
        *(partial(recorder.record_step, row, {}) for row in again),
        lambda: recorder.end(1, 3, Status.FINISHED, Event("finished", "no match")),
    ]
    steps, kinds = [], []
    with Reader(database) as reader:
        for update in updates(reader, 1):
            steps += [(step.step, step.lr) for step in update.steps]
            kinds += [event.kind for event in update.events]
            if work and not update.steps:
                work.pop(0)()
    assert steps == [(0, 0.01), (1, 0.01), (2, None), (1, 0.002), (2, 0.002), (3, None)]
    assert kinds == ["created", "started", "break-point", "remade", "finished"]


def test_rows_that_were_there_before_are_printed_too(
    database: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.start(1, digest="d", step=0, vectors={})
    for number, text in ((0, HOSTILE), (1, None), (2, None)):
        recorder.record_step(record(1, number, 3, decoded_z=text, decoded_prediction=text), {})
    recorder.end(1, 3, Status.STOPPED, Event("stopped"))
    assert follow(database, 1, Form.TABLE) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["step", "0", "2"]
    assert is_harmless(out)
    resume = f"`sonar-explore --db {database} resume 1` goes on from its last checkpoint"
    assert err == f"run 1: stopped at step 2; {resume}\n"


def test_a_failed_run_says_why(
    database: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(database.parent)
    recorder.end(1, 0, Status.FAILED, Event("failed", "x"), "loss is not finite\x1b[2J")
    assert follow(Path("sessions.db"), 1, Form.JSONL) == 1
    out, err = capsys.readouterr()
    assert out.startswith('{"type": "summary", "run": 1, "session": "tests", "status": "failed"')
    assert err == "run 1: failed: loss is not finite␛[2J; `sonar-explore resume 1` tries again\n"


def test_a_worker_that_is_gone_ends_the_following(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worker = subprocess.Popen(["sleep", "60"])
    with recorder_of(database) as recorder:
        assert recorder.claim(worker.pid) is not None
        recorder.start(1, digest="d", step=0, vectors={})
    with Reader(database) as reader:
        following = updates(reader, 1)
        assert next(following).run.status is Status.RUNNING
        worker.kill()
        worker.wait()
        assert [update.run.status for update in following][-1] is Status.CRASHED
    assert follow(database, 1, Form.MARKDOWN) == 1
    assert "run 1: crashed; " in capsys.readouterr().err


def test_a_queued_run_without_a_worker_is_given_up_on(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, str]] = []
    monkeypatch.setattr(engine.control, "ensure_worker", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(tui.follow, "_NO_WORKER_S", 0.5)
    assert follow(database, 1, Form.TABLE) == 1
    assert asked == [(database, "cpu")]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "run 1: starting a worker",
        f"run 1: is still queued, no worker for cpu stays up; its log is {database}.worker-cpu.log",
    ]
