"""A damaged page: it is said, what can be read is saved, and what cannot is named."""

import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from engine.control import request
from engine.errors import UserError
from engine.process import is_alive
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import Status
from engine.store.repair import repair
from engine.store.schema import prepare
from engine.store.writing import add_command
from engine.workerfiles import worker_lock
from tests.tui.recording import Recording, row
from tests.tui.screen import expect_said, expect_shown, opened
from tests.worker.conftest import wait_until
from tui.doctor import repaired

from .conftest import LightLaboratory, command_line, settle
from .pages import leaf_pages, root_page, spoil

RUNS, STEPS = 3, 400

Rows = dict[str, set[tuple[object, ...]]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with three runs of 400 rows, each with its z and now and then a text."""
    path = tmp_path_factory.mktemp("sound") / "sessions.db"
    prepare(path)
    recording = Recording(path)
    for number in range(RUNS):
        run = recording.begin(session=f"session {number}", steps=STEPS - 1)
        recorder = Recorder(path, "cpu", report=print)
        for step in range(STEPS):
            text = f"text {step // 10} of {run}" if step % 10 == 0 else None
            values = row(run, step, decoded_prediction=text, decoded_z=text)
            recorder.record_step(values, {"z": np.full(64, step, np.float32)})
        recorder.close()
        recording.end(run, STEPS - 1, Status.FINISHED)
    recording.close()
    settle(path)
    return path


@pytest.fixture
def database(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "sessions.db"))


def rows_of(path: Path) -> Rows:
    """Every row of every table that is the program's own."""
    connection = sqlite3.connect(path)
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
            " AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%index%' AND name <> 'worker'"
        )
    ]
    found = {name: set(connection.execute(f"SELECT * FROM {name}")) for name in names}
    connection.close()
    return found


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return str(answer)


def test_a_sound_database_is_copied_as_it_is(database: Path) -> None:
    before = database.read_bytes()
    result = repair(database)
    assert result.path == database.with_name("sessions.db.repaired")
    assert result.is_complete
    assert rows_of(result.path) == rows_of(database)
    assert database.read_bytes() == before


@pytest.mark.parametrize("table", ["step", "vector", "event", "decoded_text"])
def test_a_damaged_page_costs_its_own_rows_only_and_they_are_named(
    database: Path, sound: Path, table: str
) -> None:
    leaves = leaf_pages(database, table)
    spoil(database, leaves[len(leaves) // 2], leaves[0])
    damaged = database.read_bytes()
    is_complete, report = repaired(database)
    assert not is_complete
    assert database.read_bytes() == damaged

    expected, saved = rows_of(sound), rows_of(database.with_name("sessions.db.repaired"))
    assert integrity(database.with_name("sessions.db.repaired")) == "ok"
    for name in expected.keys() - {table}:
        assert saved[name] == expected[name], name
    lost = expected[table] - saved[table]
    assert saved[table] < expected[table]
    assert len(lost) <= 2 * len(expected[table]) / len(leaves) + 20  # two pages of them
    said = named("\n".join(report))
    keys = keys_of(sound, table)
    assert {keys[each] for each in lost} <= said
    assert not said & {keys[each] for each in saved[table]}


def named(report: str) -> set[tuple[int, int]]:
    """The rows that a report says are lost, as (run, step), or as (0, row id)."""
    said: set[tuple[int, int]] = set()
    for run, first, last in re.findall(r"run (\d+), steps? (\d+)(?:–(\d+))?", report):
        said |= {(int(run), step) for step in range(int(first), int(last or first) + 1)}
    for first, last in re.findall(r"not readable: rows? (\d+)(?:–(\d+))?", report):
        said |= {(0, key) for key in range(int(first), int(last or first) + 1)}
    for first in re.findall(r"not readable: rows from (\d+) on, if there were any", report):
        said |= {(0, key) for key in range(int(first), 10_000)}
    return said


def keys_of(path: Path, table: str) -> dict[tuple[object, ...], tuple[int, int]]:
    """By what `named` names each row."""
    connection = sqlite3.connect(path)
    key = "run, step" if table == "step" else "0, rowid"
    found = {
        row[2:]: (int(row[0]), int(row[1])) for row in connection.execute(f"SELECT {key}, * FROM {table}")
    }
    connection.close()
    return found


def test_a_damaged_index_costs_nothing(database: Path, sound: Path) -> None:
    spoil(database, *leaf_pages(database, "step_decoded"), *leaf_pages(database, "run_queue"))
    spoil(database, *leaf_pages(database, "sqlite_autoindex_vector_1"))
    is_complete, report = repaired(database)
    assert is_complete
    assert "everything could be read" in report
    assert rows_of(database.with_name("sessions.db.repaired")) == rows_of(sound)


def test_rows_whose_run_and_session_are_lost_are_kept(database: Path, sound: Path) -> None:
    spoil(database, *leaf_pages(database, "run"), *leaf_pages(database, "session"))
    result = repair(database)
    assert result.lost_runs == [1, 2, 3]
    expected, saved = rows_of(sound), rows_of(result.path)
    for table in ("step", "vector", "event", "decoded_text"):
        assert saved[table] == expected[table]
    with Reader(result.path) as reader:
        assert [run.id for run in reader.runs()] == [1, 2, 3]
        assert {(run.session, run.origin, run.status) for run in reader.runs()} == {
            ("repaired", "repaired", Status.CRASHED)
        }
        assert len(list(reader.all_steps(3))) == STEPS
    with pytest.raises(UserError, match=r"run 1: is repaired, .* it can only be looked at"):
        request(result.path, 1, "resume")


def test_a_table_that_is_lost_as_a_whole_does_not_take_the_others_with_it(
    database: Path, sound: Path
) -> None:
    spoil(database, root_page(database, "step"))
    result = repair(database)
    expected, saved = rows_of(sound), rows_of(result.path)
    assert saved["step"] == set()
    assert saved["vector"] == expected["vector"]
    (steps,) = (table for table in result.tables if table.table == "step")
    assert steps.gaps == [f"run {run}, steps 0–{STEPS - 1}" for run in (1, 2, 3)]


def test_a_database_of_an_earlier_schema_is_repaired_and_upgraded(tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "data" / "revision_0002.db"
    database = Path(shutil.copy(old, tmp_path / "sessions.db"))
    spoil(database, leaf_pages(database, "vector")[1])
    result = repair(database)
    assert not result.is_complete
    with Reader(result.path) as reader:
        assert reader.notice is None
        assert reader.runs() != []
    assert rows_of(result.path)["decoded_text"] != set()
    assert [path.name for path in tmp_path.iterdir()].count("sessions.db.repaired") == 1


def test_where_nothing_can_be_read_it_says_so_and_leaves_no_copy(database: Path) -> None:
    spoil(database, 1)
    with pytest.raises(UserError, match=r"is not an SQLite database|nothing of it can be read") as error:
        repair(database)
    assert "\n" not in str(error.value)
    assert list(database.parent.glob("*.repaired*")) == []


def test_a_copy_that_is_there_stays(database: Path) -> None:
    first = database.with_name("sessions.db.repaired")
    first.write_text("mine")
    assert repair(database).path.name == "sessions.db.repaired.2"
    assert first.read_text() == "mine"


def test_it_waits_until_no_worker_is_at_work(database: Path) -> None:
    with FileLock(worker_lock(database, "cuda:0")):
        answer = command_line(database, "doctor", "--repair")
    assert answer.returncode == 2
    assert "a worker is at work on it: stop it first (`sonar-explore worker stop`)" in answer.stderr
    assert list(database.parent.glob("*.repaired*")) == []


def test_the_command_line_says_what_to_do(database: Path) -> None:
    spoil(database, *leaf_pages(database, "step"))
    answer = command_line(database, "list")
    assert answer.returncode == 2
    assert answer.stderr == (
        f"sonar-explore: database: {database}: cannot be read: database disk image is malformed;"
        " `sonar-explore doctor --repair` saves what can be read of it\n"
    )


async def test_the_screen_says_what_to_do_and_goes_on_with_the_repaired_one(database: Path) -> None:
    spoil(database, leaf_pages(database, "step")[-1])
    async with opened(database) as user:
        await expect_said(user, "database disk image is malformed; `sonar-explore doctor --repair` saves")
        result = repair(database)
        result.path.replace(database)
        await expect_shown(user, "session 0")


def test_a_worker_that_meets_damage_says_so_and_leaves(light: LightLaboratory) -> None:
    database = light.database
    run, worker = light.running()
    light.wait_for_step(run, 60)
    light.ask(run, "pause")
    with light.reader() as reader:
        last = reader.run(run).last_step
    settle(database)
    spoil(database, *leaf_pages(database, "step"))
    add_command(database, device="cpu", kind="resume", run=run)
    wait_until(lambda: not is_alive(worker.pid, worker.start), "the worker to leave")
    assert (
        f"leaving: database: {database}: cannot be written: database disk image is malformed; " in light.log
    )
    assert "`sonar-explore doctor --repair` saves what can be read of it" in light.log
    assert "Traceback" not in light.log

    _, report = repaired(database)
    put_in_place(report)
    assert light.integrity() == "ok"
    with light.reader() as reader:
        assert last is not None
        assert reader.vector(run, last, "z") is not None
    light.start_worker()
    light.wait_for_worker()
    assert light.ask(run, "resume").applied_step == last + 1
    light.wait_for_step(run, last + 3)


def put_in_place(report: list[str]) -> None:
    """Do what the report says one may do."""
    (line,) = (line for line in report if line.startswith("put it in place:"))
    subprocess.run(line.partition(":")[2], shell=True, check=True)
