"""Tasks: asked for by a viewer, worked out piece by piece beside the runs, answered in the database."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest

import engine.control
from engine.control import cancel_task, request_task, wait_for_task
from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import TaskRecord
from engine.store.run_changes import Event
from engine.store.task_queue import TaskQueue
from engine.store.writing import add_run
from engine.work.active_task import TaskDesk
from engine.work.task_runners import Progress, TaskContext, TaskOutcome

INTERPOLATE = {"from": [1, 0], "to": [1, 5], "points": 3, "path": "linear"}

Pieces = Generator[Progress, None, TaskOutcome]


class Desk:
    """A worker's desk in this process, with what it has logged."""

    def __init__(self, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder = Recorder(database, "cpu", report=lambda line: None)
        self.queue = TaskQueue(self.recorder)
        self.log: list[str] = []
        self._monkeypatch = monkeypatch
        context = TaskContext(database, "cpu", load_bundle=lambda spec: pytest.fail("not needed"))
        self.desk = TaskDesk(
            self.queue, context, report=self.log.append, explain=lambda error: f"explained: {error}"
        )

    def runs(self, pieces: Callable[[TaskRecord], Pieces]) -> None:
        """Work tasks out with these pieces."""
        self._monkeypatch.setattr(
            "engine.work.active_task.task_runner", lambda kind: lambda context, task: pieces(task)
        )

    def work_until_done(self) -> int:
        """Do all there is; the number of turns that it took."""
        turns = 0
        while self.desk.work():
            turns += 1
        return turns


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def run(database: Path) -> int:
    return add_run(database, RunSpec(steps=9), device="cpu", session="tests")


@pytest.fixture
def desk(database: Path, run: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(engine.control, "ensure_worker", lambda path, device: None)
    desk = Desk(database, monkeypatch)
    yield desk
    desk.recorder.close()


def test_a_task_is_done_piece_by_piece_and_answered(database: Path, run: int, desk: Desk) -> None:
    def count(task: TaskRecord) -> Pieces:
        for done in range(3):
            yield Progress(done, 3)
        return TaskOutcome({"sum": 6, "of": task.arguments}, Event("verified", "all equal"))

    desk.runs(count)
    task = request_task(database, "interpolate", run=run, arguments=INTERPOLATE)
    with Reader(database) as reader:
        asked = reader.task(task)
        assert (asked.status, asked.device, asked.run, asked.kind) == ("pending", "cpu", run, "interpolate")
        assert (asked.arguments, asked.done, asked.total, asked.result) == (INTERPOLATE, 0, None, None)
        assert reader.tasks(kind="interpolate", status="pending") == [asked]

        assert desk.desk.work()  # taken up
        assert desk.desk.activity == f"interpolate run {run}"
        assert reader.task(task).status == "running"
        seen: list[TaskRecord] = []
        turns = desk.work_until_done()
        done = wait_for_task(reader, task, 0, seen.append)
        assert turns == 5  # finding its runner, three pieces, the end
        assert seen == [done] == reader.tasks(run=run)
        assert (done.status, done.error, done.has_ended) == ("done", None, True)
        assert done.result == {"sum": 6, "of": INTERPOLATE}
        assert [(event.kind, event.detail) for event in reader.events(run)][-1] == ("verified", "all equal")
        assert reader.tasks(run=run + 1) == reader.tasks(kind="verify") == []
    assert desk.desk.activity is None
    assert not desk.desk.work()


def test_progress_shows_while_the_task_goes_on(
    database: Path, run: int, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.work.active_task._PROGRESS_S", 0.0)

    def slow(task: TaskRecord) -> Pieces:
        yield Progress(4, 8)
        return TaskOutcome({})

    desk.runs(slow)
    task = request_task(database, "interpolate", run=run, arguments=INTERPOLATE)
    for _ in range(3):
        desk.desk.work()
    with Reader(database) as reader:
        assert (reader.task(task).done, reader.task(task).total) == (4, 8)


@pytest.mark.parametrize("error", [ValueError("bad\nluck"), UserError("z: is gone")])
def test_a_task_that_raises_fails_with_one_line_and_the_next_is_done(
    database: Path, run: int, desk: Desk, error: Exception
) -> None:
    def pieces(task: TaskRecord) -> Pieces:
        yield Progress(0)
        if task.id == 1:
            raise error
        return TaskOutcome({"vector": np.float32(1)} if task.id == 2 else {"fine": True})

    desk.runs(pieces)
    tasks = [request_task(database, "interpolate", run=run, arguments=INTERPOLATE) for _ in range(3)]
    desk.work_until_done()
    with Reader(database) as reader:
        first, second, third = (reader.task(task) for task in tasks)
    assert (first.status, first.error) == ("failed", f"explained: {error}")
    assert second.status == "failed"  # a result that JSON cannot hold
    assert "not JSON serializable" in (second.error or "")
    assert (third.status, third.result) == ("done", {"fine": True})
    assert any("failed: explained: " in line for line in desk.log)


def test_a_cancelled_task_is_let_go_of(database: Path, run: int, desk: Desk) -> None:
    closed: list[int] = []

    def endless(task: TaskRecord) -> Pieces:
        try:
            while True:
                yield Progress(1)
        finally:
            closed.append(task.id)

    desk.runs(endless)
    going, waiting = (request_task(database, "interpolate", run=run, arguments=INTERPOLATE) for _ in range(2))
    for _ in range(3):
        desk.desk.work()
    cancel_task(database, waiting)
    cancel_task(database, going)
    with pytest.raises(UserError, match=rf"task {going}: has ended \(cancelled\)"):
        cancel_task(database, going)
    with pytest.raises(UserError, match="there is no task 99"):
        cancel_task(database, 99)
    desk.work_until_done()
    assert closed == [going]
    with Reader(database) as reader:
        assert [task.status for task in reader.tasks()] == ["cancelled", "cancelled"]
        assert reader.task(going).result is None


def test_the_task_of_a_dead_worker_has_failed_and_is_not_begun_again(
    database: Path, run: int, desk: Desk
) -> None:
    """It may be what the worker died of: a new one would die of it too, and again."""
    task = request_task(database, "interpolate", run=run, arguments=INTERPOLATE)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    claimed = desk.queue.claim(other.pid)
    assert claimed is not None
    assert (claimed.id, claimed.status) == (task, "running")
    assert desk.queue.fail_lost() == []
    other.kill()
    other.wait()
    error = f"the worker (process {other.pid}) is gone; ask again"
    with Reader(database) as reader:
        assert (reader.task(task).status, reader.task(task).error) == ("failed", error)  # seen at once
        assert desk.queue.fail_lost() == [task]
        assert (reader.task(task).status, reader.task(task).error) == ("failed", error)
        assert reader.task(task).ended is not None
    assert desk.queue.claim(os.getpid()) is None


def test_a_worker_stays_for_pending_tasks_and_cancels_them_when_it_is_told_to_leave(
    database: Path, run: int, desk: Desk
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE run SET status = 'paused'")
    connection.close()
    desk.recorder.describe_worker(os.getpid(), "idle", 1.0, database)
    task = request_task(database, "interpolate", run=run, arguments=INTERPOLATE)
    assert not desk.recorder.leave()
    assert desk.recorder.another_worker_is_alive()
    assert desk.recorder.leave(Event("paused", "the worker was asked to leave"))
    with Reader(database) as reader:
        answer = reader.task(task)
    assert (answer.status, answer.error) == ("cancelled", "the worker was asked to leave")


@pytest.mark.parametrize(
    ("kind", "arguments", "line"),
    [
        ("dance", {}, "task: 'dance' is unknown; there are verify, interpolate"),
        ("verify", {}, "run 1: has no rows yet that could be verified"),
        ("interpolate", {"from": [1]}, "interpolate: from: a row is needed, as its run and step"),
        ("interpolate", {**INTERPOLATE, "points": 1}, "points: 1: allowed are 2 to 1000"),
        ("interpolate", {**INTERPOLATE, "points": "many"}, "points: 'many': should be a whole number"),
        ("interpolate", {**INTERPOLATE, "path": "crooked"}, "path: 'crooked': allowed are linear, spherical"),
        ("interpolate", {**INTERPOLATE, "by": 2}, "interpolate: by: what can be given is"),
    ],
)
def test_what_cannot_be_done_is_not_asked(
    database: Path, run: int, desk: Desk, kind: str, arguments: dict[str, object], line: str
) -> None:
    with pytest.raises(UserError, match=line.replace("(", r"\(")):
        request_task(database, kind, run=run, arguments=arguments)
    with Reader(database) as reader:
        assert reader.tasks() == []
