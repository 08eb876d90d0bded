"""The list of runs that is read again and again is the one that is stored, whoever changes what."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from engine.spec import RunSpec
from engine.store import sessions
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import RunRecord, Status
from engine.store.run_changes import Event
from engine.store.run_watch import RunWatch
from engine.store.writing import add_run

from .conftest import step


class Watched(Reader):
    """Notes which runs were read one by one."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[int] = []

    def runs_of(self, ids: Sequence[int]) -> list[RunRecord]:
        self.asked += ids
        return super().runs_of(ids)


@pytest.fixture
def worker(database: Path) -> Iterator[Recorder]:
    """A worker with six runs behind it, in two sessions."""
    for session in ("one", "two"):
        for _ in range(3):
            add_run(database, RunSpec(), device="cpu", session=session)
    recorder = Recorder(database, "cpu", report=print)
    for _ in range(6):
        _start(recorder)
    for run in range(1, 7):
        recorder.record_step(step(run, 0), {})
        recorder.end(run, 0, Status.FINISHED, Event("finished"))
    yield recorder
    recorder.close()


@pytest.fixture
def watched(database: Path, worker: Recorder) -> Iterator[Watched]:
    with Watched(database) as reader:
        yield reader


def _start(worker: Recorder) -> int:
    claim = worker.claim(os.getpid())
    assert claim is not None
    worker.start(claim.run, digest="abc", step=0, vectors={})
    return claim.run


def _stored(database: Path, *, with_archived: bool = False) -> list[RunRecord]:
    with Reader(database) as reader:
        return reader.runs(with_archived=with_archived)


def _queue(database: Path) -> None:
    add_run(database, RunSpec(steps=7), device="cpu", session="three")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a run is named": lambda database: sessions.rename_run(database, 2, "other"),
    "a run is moved": lambda database: sessions.move_run(database, 2, "two"),
    "a run is deleted": lambda database: sessions.delete_run(database, 2),
    "a session is named": lambda database: sessions.rename_session(database, 1, "other"),
    "a session is deleted": lambda database: sessions.delete_session(database, 1),
    "a session is put away": lambda database: sessions.set_archived(database, 1, True),
    "a run is queued": _queue,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("with_archived", [False, True])
def test_what_somebody_else_changes_is_in_the_list(
    database: Path, watched: Watched, change: Callable[[Path], object], with_archived: bool
) -> None:
    watch = RunWatch(watched)
    before = watch.runs(with_archived=with_archived)
    change(database)
    assert watch.runs(with_archived=with_archived) == _stored(database, with_archived=with_archived)
    assert _stored(database, with_archived=with_archived) != before or with_archived


def test_what_was_deleted_and_put_away_comes_back(database: Path, watched: Watched) -> None:
    watch = RunWatch(watched)
    whole = watch.runs()
    sessions.delete_run(database, 2)
    sessions.delete_session(database, 2)
    sessions.set_archived(database, 1, True)
    assert watch.runs() == []
    sessions.set_archived(database, 1, False)
    sessions.restore_run(database, 2)
    sessions.restore_session(database, 2)
    assert watch.runs() == whole


def test_a_purged_parent_is_no_parent_any_more(database: Path, watched: Watched) -> None:
    connection = connect(database)
    connection.execute("UPDATE run SET parent_run = 2, parent_step = 0 WHERE id = 6")
    connection.close()
    watch = RunWatch(watched)
    assert watch.runs()[-1].parent_run == 2
    sessions.delete_run(database, 2)
    sessions.purge(database, runs=[2])
    assert watch.runs() == _stored(database)
    assert watch.runs()[-1].parent_run is None


def test_a_run_that_ended_goes_on_and_ends_again(database: Path, watched: Watched, worker: Recorder) -> None:
    watch = RunWatch(watched)
    watch.runs()
    _queue(database)
    run = _start(worker)
    for number in range(3):
        worker.record_step(step(run, number, match=number == 2, decoded_prediction="a"), {})
        assert watch.runs() == _stored(database)
    worker.end(run, 2, Status.FINISHED, Event("finished"))
    assert watch.runs()[-1].status is Status.FINISHED
    worker.end(run, 2, Status.STOPPED, Event("stopped"))
    worker.record_step(step(run, 3), {})
    assert watch.runs() == _stored(database)


def test_only_the_run_that_goes_on_is_read_again(database: Path, watched: Watched, worker: Recorder) -> None:
    watch = RunWatch(watched)
    watch.runs()
    _queue(database)
    run = _start(worker)
    settled = watch.runs()[:-1]
    watched.asked.clear()
    for number in range(5):
        worker.record_step(step(run, number), {})
        runs = watch.runs()
        assert runs[-1].last_step == number
        assert all(one is other for one, other in zip(runs, settled, strict=False))
    assert watched.asked == [run] * 5
    worker.end(run, 4, Status.FINISHED, Event("finished"))
    watch.runs()
    watched.asked.clear()
    assert watch.runs() == _stored(database)
    assert watched.asked == []


def test_runs_that_ended_stay_what_they_are_while_many_others_come(
    database: Path, watched: Watched, worker: Recorder
) -> None:
    watch = RunWatch(watched)
    settled = watch.runs()
    for _ in range(10):
        _queue(database)
    runs = watch.runs()
    assert len(runs) == 16
    assert all(one is other for one, other in zip(runs, settled, strict=False))


def test_what_runs_have_in_common_is_held_once(watched: Watched) -> None:
    first, *others = watched.runs()
    for name in ("spec", "init", "target", "loss_name", "bundle", "device", "weights", "schedules"):
        assert all(getattr(other, name) is getattr(first, name) for other in others), name
