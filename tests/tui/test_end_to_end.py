"""The program in a real pseudo-terminal: the screen, its worker on the embedded models, one database."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from engine.control import queue_run
from engine.spec import RunSpec
from engine.store.records import Status
from tests.tui.test_terminal import (
    Terminal,
    assert_ends_well_without_its_terminal,
    without_controlling_terminal,
)
from tests.worker.conftest import Laboratory, forked_workers, laboratory

__all__ = ["forked_workers", "laboratory"]

_LONG = RunSpec(steps=1_000_000, decode_every=50, beam=1, vectors="ends")
_STALL_S = 5.0
_CRASH_SHOWN_S = 5.0

Open = Callable[..., Terminal]
"""Takes what the process does before it becomes the explorer."""


@pytest.fixture
def open_explorer(laboratory: Laboratory) -> Iterator[Open]:
    """Opens the explorer on the laboratory's database, as often as one likes."""
    terminals: list[Terminal] = []

    def open_one(before_it_starts: Callable[[], None] | None = None) -> Terminal:
        terminals.append(Terminal(laboratory.database, before_it_starts=before_it_starts))
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.process.close(force=True)


def shown_step(terminal: Terminal) -> int:
    """The step that the header shows; -1 while it shows none."""
    found = re.search(r"step (\d+) of", terminal.text)
    return int(found[1]) if found else -1


def test_a_run_is_started_paused_slowed_down_and_finished_by_keys(
    laboratory: Laboratory, open_explorer: Open
) -> None:
    terminal = open_explorer()
    terminal.expect(lambda: "No runs yet" in terminal.text)
    terminal.process.send("p")
    terminal.expect(lambda: shown_step(terminal) > 0 or "running" in terminal.text)
    terminal.process.send(" ")
    terminal.expect(lambda: "paused" in terminal.text)
    with laboratory.reader() as reader:
        paused = reader.run(1)
        assert paused.status is Status.PAUSED
        (event,) = [event for event in reader.events(1) if event.kind == "paused"]
    terminal.process.send("-")
    terminal.expect(lambda: "lr 0.01 → 0.008" in terminal.text)
    with laboratory.reader() as reader:
        (change,) = [event for event in reader.events(1) if event.kind == "lr"]
        assert (change.step, change.detail) == (event.step, "0.01 → 0.008")
        assert all(command.status == "applied" for command in reader.commands(1))
    terminal.process.send(" ")
    terminal.expect(lambda: "finished" in terminal.text)
    terminal.expect(lambda: "✓  Once upon a time, there" in terminal.text)
    with laboratory.reader() as reader:
        steps = list(reader.all_steps(1))
    assert [row.step for row in steps] == list(range(101))
    assert {row.lr for row in steps if row.lr is not None and row.step >= (event.step or 0)} == {0.008}


@pytest.mark.usefixtures("forked_workers")
def test_the_terminal_hangs_up_and_the_user_comes_back_to_the_same_run(
    laboratory: Laboratory, open_explorer: Open
) -> None:
    run = queue_run(laboratory.database, _LONG)
    first = open_explorer()
    first.expect(lambda: shown_step(first) > 20)
    worker = laboratory.worker()
    first.process.kill(signal.SIGHUP)
    assert first.exit_status() == 0
    first.assert_restored()
    left_at = shown_step(first)
    laboratory.wait_for_step(run, left_at + 50)
    second = open_explorer(without_controlling_terminal)
    second.expect(lambda: shown_step(second) > left_at)
    assert_ends_well_without_its_terminal(second)
    laboratory.wait_for_step(run, shown_step(second) + 50)
    assert laboratory.worker() is not None
    assert worker is not None
    assert laboratory.worker().pid == worker.pid  # type: ignore[union-attr]


@pytest.mark.usefixtures("forked_workers")
def test_a_line_that_stalls_does_not_hold_up_the_worker_and_the_screen_comes_back(
    laboratory: Laboratory, open_explorer: Open
) -> None:
    run = queue_run(laboratory.database, _LONG)
    terminal = open_explorer()
    terminal.expect(lambda: shown_step(terminal) > 20)
    with laboratory.reader() as reader:
        before = reader.run(run).last_step or 0
        stalled_until = time.monotonic() + _STALL_S
        while time.monotonic() < stalled_until:  # nothing is read from the terminal
            during = reader.run(run).last_step or 0
            time.sleep(0.1)
        assert during - before > _STALL_S  # a step takes a small part of a second
        assert reader.run(run).status is Status.RUNNING
    terminal.expect(lambda: shown_step(terminal) >= during)
    terminal.process.send("q")
    assert terminal.exit_status() == 0
    with laboratory.reader() as reader:
        rows = [row.step for row in reader.all_steps(run)]
    assert rows == list(range(len(rows)))


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_is_killed_is_shown_as_crashed_within_five_seconds(
    laboratory: Laboratory, open_explorer: Open
) -> None:
    queue_run(laboratory.database, _LONG)
    terminal = open_explorer()
    terminal.expect(lambda: shown_step(terminal) > 20)
    worker = laboratory.worker()
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    killed = time.monotonic()
    terminal.expect(lambda: "crashed" in terminal.text)
    assert time.monotonic() - killed < _CRASH_SHOWN_S
    terminal.process.send("r")
    terminal.expect(lambda: "running" in terminal.text)
    assert laboratory.integrity() == "ok"
