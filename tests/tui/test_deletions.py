"""What is deleted on the screen is gone for good when the user leaves, and only then."""

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.records import Status
from engine.store.sessions import RETENTION_S, restorable
from tests.tui.recording import Recording, row
from tests.tui.test_terminal import Terminal


@pytest.fixture
def terminal(database: Path, recording: Recording) -> Iterator[Terminal]:
    """The explorer on two runs that have ended, the newer one with vectors."""
    for number in (1, 2):
        run = recording.queue()
        recording.steps(run, [row(run, step) for step in range(number)])
        recording.end(run, number, Status.STOPPED)
    z = np.ones(1024, np.float32).tobytes()
    connection = connect(database)
    connection.executemany(
        "INSERT INTO vector VALUES (2, ?, 'z', 1024, ?)", [(step, z) for step in range(300)]
    )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    recording.close()
    terminal = Terminal(database)
    terminal.expect(lambda: "2 runs" in terminal.text and "today/2" in terminal.text)
    terminal.process.send("\x1b[3~")
    terminal.expect(lambda: "Deleted run today/2" in terminal.text and "1 run" in terminal.text)
    yield terminal
    terminal.process.close(force=True)


def stored_runs(database: Path) -> int:
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("SELECT count(*) FROM run").fetchone()[0])
    finally:
        connection.close()


def test_leaving_frees_the_space_of_what_was_deleted(terminal: Terminal, database: Path) -> None:
    full = database.stat().st_size
    terminal.process.send("q")
    assert terminal.exit_status() == 0
    said = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :].decode()
    assert "Freeing the space of what was deleted" in said
    assert stored_runs(database) == 1
    assert database.stat().st_size < full - 300 * 4096


def test_a_terminal_that_goes_away_decides_nothing(terminal: Terminal, database: Path) -> None:
    terminal.process.kill(signal.SIGHUP)
    assert terminal.exit_status() == 0
    assert [item.title for item in restorable(database)] == ["today/2"]
    with Reader(database) as reader:
        assert [run.id for run in reader.runs()] == [1]


def test_what_a_killed_screen_deleted_is_removed_a_day_later_by_the_next_that_is_left(
    terminal: Terminal, database: Path
) -> None:
    terminal.process.kill(signal.SIGKILL)
    terminal.process.wait()
    for later_s, left in ((0, 2), (RETENTION_S + 1, 1)):
        connection = connect(database)
        connection.execute("UPDATE run SET deleted = deleted - ?", (later_s,))
        connection.close()
        following = Terminal(database)
        following.expect(lambda: "1 run" in following.text and "today/1" in following.text)  # noqa: B023
        following.process.send("q")
        assert following.exit_status() == 0
        assert stored_runs(database) == left
