"""A run that was interrupted, however and wherever, leaves bit for bit what an uninterrupted one leaves."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import pytest

from engine.control import queue_run
from engine.process import is_alive
from engine.spec import RunSpec
from engine.store.records import Status

from .conftest import Laboratory, wait_until
from .forked_workers import use_forked_workers
from .records import checkpoints, everything_stored

SPEC = RunSpec(device="cpu", steps=60, decode_every=6, beam=1, max_decoded_tokens=6, lr=0.02, norm=0.5)
CHANGES: Mapping[int, Mapping[str, object]] = {
    20: {"lr": 0.0123456789012},
    33: {"weights": {"cosine": 0.3333333333}},
    41: {"lr": 0.03, "weights": {"ce": 0.7}},
}
"""What is set before the update of a step."""

Interruption = Callable[[Laboratory, int, int], None]
"""What happens to a paused run: laboratory, run, and the row up to which it may go on for it."""


def nothing(laboratory: Laboratory, run: int, until: int) -> None:
    """It is paused already."""


def stop(laboratory: Laboratory, run: int, until: int) -> None:
    laboratory.ask(run, "stop")


def leave(laboratory: Laboratory, run: int, until: int) -> None:
    """The worker is told to leave, as at a shutdown, while the run goes on."""
    worker = laboratory.worker()
    assert worker is not None
    laboratory.ask(run, "resume", until=until)
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(worker.pid, worker.start), "the worker to leave")


def kill(laboratory: Laboratory, run: int, until: int) -> None:
    """On its way, beyond its checkpoint."""
    with laboratory.reader() as reader:
        step = reader.run(run).last_step or 0
    laboratory.ask(run, "resume", until=until)
    laboratory.wait_for_step(run, step + 1)
    laboratory.kill_worker()


def kill_and_lose_checkpoints(laboratory: Laboratory, run: int, until: int) -> None:
    """All rows have to be made again, each with what it was made with."""
    kill(laboratory, run, until)
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("DELETE FROM checkpoint WHERE run = ?", (run,))
    connection.close()


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """One database for all tests here, and one worker but for those that end it."""
    laboratory = Laboratory(tmp_path_factory.mktemp("resuming") / "sessions.db")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_forked_workers(monkeypatch, with_toy_models=True)
        yield laboratory
    laboratory.kill_worker()


def played(
    laboratory: Laboratory,
    changes: Mapping[int, Mapping[str, object]],
    interruptions: Mapping[int, Interruption] | None = None,
    spec: RunSpec = SPEC,
) -> int:
    """Let a run go on to its end, with changes and interruptions before the updates of steps."""
    run = queue_run(laboratory.database, spec, session="tests", break_points=["loss>0"])  # after row 0
    laboratory.wait_for_status(run, Status.PAUSED)
    planned = sorted({*changes, *(interruptions or {})})
    for step, following in pairwise([*planned, spec.steps]):
        laboratory.ask(run, "resume", until=step - 1)
        laboratory.wait_for_status(run, Status.PAUSED)
        if step in changes:
            assert laboratory.ask(run, "set", **changes[step]).applied_step == step
        if interruptions and step in interruptions:
            interruptions[step](laboratory, run, following - 2)
    laboratory.ask(run, "resume")
    laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.FINISHED, reader.run(run).error
        assert "remade" not in [event.kind for event in reader.events(run)]
    assert checkpoints(laboratory.database, run) == [spec.steps]  # the last one stays
    return run


@pytest.fixture(scope="module")
def uninterrupted(laboratory: Laboratory) -> int:
    run = queue_run(laboratory.database, SPEC, session="tests")
    laboratory.wait_for_end(run)
    return run


@pytest.fixture(scope="module")
def changed(laboratory: Laboratory) -> int:
    """By one worker, with a pause for each change."""
    run = played(laboratory, CHANGES)
    with laboratory.reader() as reader:
        rows = reader.steps(run)
        weights = [reader.row_weights(run, row.step) for row in rows]
    assert [row.lr for row in rows] == [0.02] * 20 + [0.0123456789012] * 21 + [0.03] * 19 + [None]
    assert weights == (
        [None] * 33 + [{"ce": 1.0, "cosine": 0.3333333333}] * 8 + [{"ce": 0.7, "cosine": 0.3333333333}] * 20
    )
    return run


@pytest.mark.parametrize(
    "interruptions",
    [
        {2: nothing, 17: nothing, 42: nothing},
        {5: stop, 28: stop},
        {9: kill, 36: kill},
        {13: leave},
    ],
    ids=["paused", "stopped", "killed", "left"],
)
def test_an_interrupted_run_leaves_what_an_uninterrupted_one_leaves(
    laboratory: Laboratory, uninterrupted: int, interruptions: Mapping[int, Interruption]
) -> None:
    run = played(laboratory, {}, interruptions)
    assert everything_stored(laboratory.database, run) == everything_stored(
        laboratory.database, uninterrupted
    )


@pytest.mark.parametrize(
    "interruptions",
    [
        {19: nothing, 20: stop, 21: stop, 59: stop},
        {10: kill, 26: kill, 45: kill},
        {24: kill_and_lose_checkpoints, 46: kill_and_lose_checkpoints},
        {20: leave, 50: leave},
    ],
    ids=["stopped", "killed", "without checkpoints", "left"],
)
def test_so_does_one_that_was_changed_on_its_way(
    laboratory: Laboratory, changed: int, interruptions: Mapping[int, Interruption]
) -> None:
    run = played(laboratory, CHANGES, interruptions)
    assert everything_stored(laboratory.database, run) == everything_stored(laboratory.database, changed)


def test_so_does_one_that_had_finished_and_was_extended(laboratory: Laboratory, uninterrupted: int) -> None:
    run = queue_run(laboratory.database, SPEC.model_copy(update={"steps": 30}), session="tests")
    laboratory.wait_for_end(run)
    assert checkpoints(laboratory.database, run) == [30]
    laboratory.ask(run, "extend", steps=20)
    laboratory.wait_for_end(run)
    laboratory.kill_worker()
    laboratory.ask(run, "extend", steps=10)
    laboratory.wait_for_end(run)
    stored, expected = (everything_stored(laboratory.database, each) for each in (run, uninterrupted))
    # Step 50 was the last one once, and decoded for that; its texts and what belongs to them stay.
    assert stored["vector"] != expected["vector"]
    without = {table: [row for row in rows if row[0] != 50] for table, rows in stored.items()}
    assert without == {table: [row for row in rows if row[0] != 50] for table, rows in expected.items()}
    (made,), (wanted,) = ([row for row in each["step"] if row[0] == 50] for each in (stored, expected))
    assert made[:6] == wanted[:6]
    assert made[-6] == wanted[-6]  # state hash
