"""A trajectory is opened from its end, and ends up as if it had been read in order."""

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from textual.message import Message

from engine.store.reading import Reader
from engine.store.records import CardFigures, StepRecord, WorkerRecord
from tests.tui.recording import Recording, row
from tests.tui.screen import LARGE, expect, expect_shown, lines, opened, table_of, text
from tui.live import CHUNK_STEPS, NEWEST_STEPS, DatabaseWatcher
from tui.news import RunsRead, TrajectoryRead, WorkerView
from tui.trajectory import Row, RowWindow, Trajectory

LONG = NEWEST_STEPS + 3 * CHUNK_STEPS + 7
_DEADLINE_S = 20.0
_WHOLE = 2 * LONG

M = TypeVar("M", bound=Message)


class Follower:
    """Reads what the watcher's thread posts, and makes of it what a screen would show."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.read: list[TrajectoryRead] = []
        self.trajectory = Trajectory()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.watcher = DatabaseWatcher(database, self._messages.put)

    def next_read(self) -> TrajectoryRead:
        """Wait for the next message about the trajectory, and show it."""
        message = self._next(TrajectoryRead)
        self.read.append(message)
        if message.is_first:
            self.trajectory = Trajectory(RowWindow(most=_WHOLE))
        self.trajectory.extend(message.steps, message.events, is_before=message.is_before)
        return message

    def next_runs(self) -> RunsRead:
        """Wait for the next message about the list of runs."""
        return self._next(RunsRead)

    def _next(self, kind: type[M]) -> M:
        while not isinstance(message := self._messages.get(timeout=_DEADLINE_S), kind):
            pass
        return message

    def read_until(self, condition: Callable[[], object]) -> None:
        """Read on until a condition holds."""
        deadline = time.monotonic() + _DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"shown: {self.shown}"
            self.next_read()

    @property
    def shown(self) -> list[StepRecord]:
        return [row for row in rows_of(self.trajectory) if isinstance(row, StepRecord)]

    def assert_shows_what_is_stored(self, run: int) -> None:
        """The trajectory is what it would be had everything been read in order, at once."""
        with Reader(self.database) as reader:
            steps, events = list(reader.all_steps(run)), reader.events(run)
        expected = Trajectory(RowWindow(most=_WHOLE))
        expected.extend(steps, events)
        assert rows_of(self.trajectory) == rows_of(expected)
        assert self.trajectory.newest == steps[-1]


def rows_of(trajectory: Trajectory) -> list[Row | None]:
    return [trajectory.row(index) for index in range(len(trajectory))]


@contextmanager
def following(database: Path, run: int) -> Iterator[Follower]:
    follower = Follower(database)
    follower.watcher.select(run)
    follower.watcher.start()
    try:
        yield follower
    finally:
        follower.watcher.stop()


def rows(run: int, steps: Sequence[int] | range, **values: object) -> list[StepRecord]:
    return [row(run, step, **values) for step in steps]


def test_the_newest_rows_come_first_and_the_older_ones_in_bounded_chunks(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.many_steps(rows(run, range(LONG)))
    recording.event(run, LONG // 2, "lr", "0.01 → 0.005")
    with following(database, run) as follower:
        first = follower.next_read()
        assert [step.step for step in first.steps] == list(range(LONG - NEWEST_STEPS, LONG))
        assert (first.is_first, first.is_before, first.is_complete) == (True, False, False)
        follower.read_until(lambda: follower.read[-1].is_complete)
        follower.assert_shows_what_is_stored(run)
    assert [len(message.steps) for message in follower.read[1:]] == [CHUNK_STEPS] * 3 + [7]
    assert [message.is_before for message in follower.read[1:]] == [True] * 4
    assert [message.is_complete for message in follower.read[1:]] == [False] * 3 + [True]


def test_a_run_that_goes_on_while_it_is_opened_is_shown_whole(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.many_steps(rows(run, range(LONG)))
    with following(database, run) as follower:
        follower.next_read()
        for step in range(LONG, LONG + 20):
            recording.steps(run, rows(run, [step]))
            recording.event(run, step + 1, "lr", "0.01 → 0.01")
        follower.read_until(lambda: follower.read[-1].is_complete and follower.shown[-1].step == LONG + 19)
        follower.assert_shows_what_is_stored(run)


def test_a_short_run_comes_whole_and_at_once(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, rows(run, range(3)))
    with following(database, run) as follower:
        only = follower.next_read()
        follower.assert_shows_what_is_stored(run)
    assert (only.is_first, only.is_complete) == (True, True)


def test_another_run_can_be_selected_while_one_is_opened(database: Path, recording: Recording) -> None:
    first = recording.begin()
    recording.many_steps(rows(first, range(LONG)))
    second = recording.begin()
    recording.many_steps(rows(second, range(LONG)))
    with following(database, first) as follower:
        follower.next_read()
        follower.watcher.select(second)
        follower.read_until(lambda: follower.read[-1].run == second)
        assert follower.read[-1].is_first
        follower.read_until(lambda: follower.read[-1].is_complete)
        follower.assert_shows_what_is_stored(second)


def test_rows_made_again_with_another_lr_replace_those_first_read(
    database: Path, recording: Recording
) -> None:
    """A worker was killed at step 20; the run goes on from step 10, and its lr is changed at step 14."""
    run = recording.begin()
    recording.steps(run, rows(run, range(21), state_hash="first"))
    with following(database, run) as follower:
        follower.read_until(lambda: len(follower.shown) == 21)
        recording.event(run, 10, "resumed")
        recording.steps(run, rows(run, range(10, 14), state_hash="first"))
        recording.set_lr(run, 14, 0.01, 0.002)
        follower.read_until(lambda: _last_event(follower) == "lr")
        recording.steps(run, rows(run, [14], state_hash="first", lr=0.002))
        recording.steps(run, rows(run, range(15, 18), state_hash="second", lr=0.002))
        follower.read_until(lambda: len(follower.shown) == 18)
        follower.assert_shows_what_is_stored(run)
        recording.steps(run, rows(run, range(18, 25), state_hash="second", lr=0.002))
        follower.read_until(lambda: len(follower.shown) == 25)
        follower.assert_shows_what_is_stored(run)
    assert {step.lr for step in follower.shown[14:]} == {0.002}


def test_a_row_that_was_the_last_is_read_again_when_the_run_goes_on(
    database: Path, recording: Recording
) -> None:
    """A run had finished and was extended: now there is an update from its last row."""
    run = recording.begin()
    recording.steps(run, [*rows(run, range(4)), row(run, 4, lr=None)])
    with following(database, run) as follower:
        follower.read_until(lambda: len(follower.shown) == 5)
        recording.event(run, 4, "extended")
        follower.read_until(lambda: _last_event(follower) == "extended")
        recording.steps(run, rows(run, range(4, 7)))
        follower.read_until(lambda: len(follower.shown) == 7)
        follower.assert_shows_what_is_stored(run)


def test_the_figures_of_the_card_come_with_its_worker(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.beat(CardFigures("NVIDIA H100", 3 * 2**30, 80 * 2**30, 41))
    with following(database, run) as follower:
        (worker,) = follower.next_runs().workers
        assert (worker.device_name, worker.memory_used, worker.memory_total, worker.utilisation) == (
            "NVIDIA H100",
            3 * 2**30,
            80 * 2**30,
            41,
        )
        recording.beat(None)
        (worker,) = follower.next_runs().workers
        assert worker == WorkerView("cpu", f"running {run}", alive=True)


def test_the_last_figures_of_a_dead_worker_are_not_shown() -> None:
    worker = WorkerRecord(
        "cuda:0", 1, "boot/1", 0.0, 0.0, "idle", 600.0, "log", "H100", 5, 9, 41, alive=False
    )
    assert WorkerView.of(worker) == WorkerView("cuda:0", "idle", alive=False)
    assert WorkerView.of(replace(worker, alive=True)).memory_used == 5


async def test_the_end_of_a_long_run_is_on_the_screen_and_its_start_a_key_away(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(steps=LONG)
    recording.many_steps(rows(run, range(LONG)))
    async with opened(database, size=LARGE) as user:
        table = table_of(user)
        await expect_shown(user, f" {LONG - 1} ")
        await expect(user, lambda: table.virtual_size.height >= LONG)
        assert table.follows
        assert f" {LONG - 1} " in text(user)
        table.focus()
        await user.press("home")
        await expect(user, lambda: any(line.split("│")[-1].lstrip().startswith("0 ") for line in lines(user)))


def _last_event(follower: Follower) -> str:
    newest = max(follower.trajectory.events, key=lambda event: event.id, default=None)
    return newest.kind if newest else ""
