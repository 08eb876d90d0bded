"""A disk that is full: viewers say so, and a worker waits without dropping anything."""

import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np

from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.recording import Claim, Recorder

from .conftest import step

QUEUE = """
import pathlib, sys
from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.writing import add_run
try:
    add_run(pathlib.Path(sys.argv[1]), RunSpec(target="x" * 9000), device="cpu", session="tests")
except UserError as error:
    print(error)
"""


def test_what_cannot_be_written_is_told_and_nothing_is_queued(database: Path, run: int) -> None:
    connect(database).close()  # the last connection to close folds the WAL into the file
    limit = 4096  # bytes: no file of the process may grow beyond
    answer = subprocess.run(
        [sys.executable, "-c", QUEUE, str(database)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=True,
    )
    assert answer.stdout.startswith(f"database: {database}: cannot be written: "), answer
    assert len(answer.stdout.splitlines()) == 1
    with Reader(database) as reader:
        assert [record.id for record in reader.runs()] == [run]


def test_a_worker_waits_for_space_and_then_writes_the_row(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    lines: list[str] = []

    def make_room(line: str) -> None:
        lines.append(line)
        recorder._connection.execute("PRAGMA max_page_count = 1000000")

    pages = recorder._connection.execute("PRAGMA page_count").fetchone()[0]
    recorder._connection.execute(f"PRAGMA max_page_count = {pages}")
    recorder._report = make_room
    row = step(claim.run, 0, decoded_z="z" * 100_000)
    recorder.record_step(row, {"z": np.ones(4, np.float32)})
    assert lines == [f"{database}: database or disk is full; trying again every 1 s"]
    with Reader(database) as reader:
        assert reader.steps(claim.run) == [row]
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
