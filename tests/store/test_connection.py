"""Several connections of one process, and what another process does meanwhile."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import engine.store.connection
from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.writing import add_command, add_run

QUEUE = """
import pathlib, sys
from engine.spec import RunSpec
from engine.store.writing import add_run
add_run(pathlib.Path(sys.argv[1]), RunSpec(), device="cpu", session="another process")
"""


def queue_elsewhere(database: Path) -> None:
    """Another process comes, queues a run, and goes."""
    subprocess.run([sys.executable, "-c", QUEUE, str(database)], check=True, timeout=60)


def test_looking_again_takes_nothing_away_from_a_reader_that_is_open(database: Path, run: int) -> None:
    """POSIX drops a process's locks on a file when the process closes it anywhere."""
    with Reader(database) as reader:
        assert len(reader.runs()) == 1
        Reader(database).close()
        queue_elsewhere(database)  # without the reader's lock it would be the last one, and tidy up
        assert len(reader.runs()) == 2
        version = reader.data_version()
        queue_elsewhere(database)
        assert reader.data_version() != version
        assert len(reader.runs()) == 3


def test_what_is_written_beside_an_open_reader_is_there_for_others(database: Path, run: int) -> None:
    with Reader(database) as reader:
        assert len(reader.runs()) == 1
        Reader(database).close()
        queue_elsewhere(database)
        command = add_command(database, device="cpu", kind="pause", run=run)
        another = add_run(database, RunSpec(), device="cpu", session="this process")
        queue_elsewhere(database)
        assert reader.command(command).kind == "pause"
        assert [record.id for record in reader.runs()] == [run, run + 1, another, another + 1]
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "print(*c.execute('PRAGMA integrity_check').fetchone(),"
        " *c.execute('SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM command)').fetchone())"
    )
    seen = subprocess.run(
        [sys.executable, "-c", script, str(database)], capture_output=True, text=True, check=True, timeout=60
    )
    assert seen.stdout.split() == ["ok", "4", "1"]


def test_a_database_that_another_program_holds_locked_is_not_read_past_its_lock(
    database: Path, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(engine.store.connection, "BUSY_TIMEOUT_MS", 100)
    with pytest.raises(UserError, match="cannot be read: database is locked"):
        Reader(database)
    holder.execute("ROLLBACK")
    holder.close()
    with Reader(database) as reader:
        assert [record.id for record in reader.runs()] == [run]
