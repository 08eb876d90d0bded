"""Sessions and runs are renamed, described, put away, deleted, had back, and removed for good."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.names import checked_tags
from engine.spec import RunSpec
from engine.store import sessions
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.recording import Claim, Recorder
from engine.store.searching import search
from engine.store.writing import add_run

from .conftest import step


def filled(path: Path, *, session: str = "tests", steps: int = 200, word: str = "cheese") -> int:
    """A run that no worker holds, with rows, texts and vectors of 4 KiB."""
    run = add_run(path, RunSpec(), device="cpu", session=session)
    recorder = Recorder(path, "none", report=print)
    for number in range(steps):
        texts = {"decoded_z": f"z {number}", "decoded_prediction": f"I like {word} {number}.", "match": False}
        recorder.record_step(step(run, number, **texts), {"z": np.full(1024, number, np.float32)})
    recorder.close()
    return run


def session_id(path: Path, name: str = "tests") -> int:
    with Reader(path) as reader:
        return reader.session(name).id


def names(path: Path) -> list[str]:
    with Reader(path) as reader:
        return [session.name for session in reader.sessions()]


def run_ids(path: Path, *, with_archived: bool = False) -> list[int]:
    with Reader(path) as reader:
        return [run.id for run in reader.runs(with_archived=with_archived)]


def count(path: Path, sql: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(sql).fetchone()[0])
    finally:
        connection.close()


def test_a_session_is_renamed_described_and_tagged(database: Path, run: int) -> None:
    key = session_id(database)
    sessions.rename_session(database, key, "  cheese and lily ")
    sessions.set_notes(database, key, "# Plan\n*try* \x1b[2J")
    sessions.set_tags(database, key, ["ce", " slow ", "", "ce"])
    with Reader(database) as reader:
        session = reader.session("cheese and lily")
        assert (session.notes, session.tags) == ("# Plan\n*try* \x1b[2J", ("ce", "slow"))
        assert reader.run(run).session == "cheese and lily"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\x1b[2J", "a\u202eb"])
def test_names_that_cannot_be_had_change_nothing(database: Path, run: int, name: str) -> None:
    with pytest.raises(UserError, match="a name has 1 to 200 printable characters"):
        sessions.rename_session(database, session_id(database), name)
    with pytest.raises(UserError, match="a name has 1 to 200 printable characters"):
        sessions.rename_run(database, run, name)
    with pytest.raises(UserError, match="a name has 1 to 200 printable characters"):
        sessions.move_run(database, run, name)
    assert names(database) == ["tests"]


def test_a_name_that_is_taken_is_refused(database: Path, run: int) -> None:
    add_run(database, RunSpec(), device="cpu", session="another")
    with pytest.raises(UserError, match="session: 'another': there is one of that name"):
        sessions.rename_session(database, session_id(database), "another")
    assert names(database) == ["tests", "another"]


def test_notes_and_tags_have_bounds(database: Path, run: int) -> None:
    key = session_id(database)
    with pytest.raises(UserError, match="100000 are allowed"):
        sessions.set_notes(database, key, "x" * 100_001)
    with pytest.raises(UserError, match="UTF-8"):
        sessions.set_notes(database, key, "\udcff")
    for tag in ("x" * 41, "a,b", "a\tb"):
        with pytest.raises(UserError, match="tag: "):
            sessions.set_tags(database, key, [tag])
    with pytest.raises(UserError, match="20 at most"):
        checked_tags(map(str, range(21)))
    with pytest.raises(UserError, match="session 99: there is none"):
        sessions.set_tags(database, 99, [])


def test_a_run_is_renamed_and_moved(database: Path, run: int) -> None:
    there = add_run(database, RunSpec(), device="cpu", session="another")
    sessions.rename_run(database, run, "bold")
    sessions.move_run(database, run, "another")
    with Reader(database) as reader:
        moved = reader.run(run)
        assert (moved.name, moved.session, moved.number) == ("bold", "another", 2)
        assert reader.run(there).number == 1
    sessions.rename_run(database, run, None)
    sessions.move_run(database, run, "another")  # where it is: its number stays
    sessions.move_run(database, there, "brand new")
    with Reader(database) as reader:
        assert (reader.run(run).name, reader.run(run).number) == (None, 2)
        assert (reader.run(there).session, reader.run(there).number) == ("brand new", 1)


def test_a_run_is_renamed_and_moved_at_once_or_not_at_all(database: Path, run: int) -> None:
    for name, session, wrong in (("bold", "a\nb", "session"), ("a\nb", "another", "name")):
        with pytest.raises(UserError, match=f"{wrong}: .*a name has 1 to 200 printable characters"):
            sessions.rename_and_move_run(database, run, name, session)
    with sqlite3.connect(database) as connection:  # refused after it has been renamed and the session made
        connection.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE OF session_id ON run BEGIN SELECT raise(ABORT, 'no'); END"
        )
    with pytest.raises(UserError):
        sessions.rename_and_move_run(database, run, "bold", "another")
    assert names(database) == ["tests"]
    with Reader(database) as reader:
        assert (reader.run(run).name, reader.run(run).session) == (None, "tests")
    with sqlite3.connect(database) as connection:
        connection.execute("DROP TRIGGER refuse")
    sessions.rename_and_move_run(database, run, "bold", "another")
    with Reader(database) as reader:
        assert (reader.run(run).name, reader.run(run).session) == ("bold", "another")


def test_a_run_that_is_moved_takes_the_session_out_of_the_archive(database: Path, run: int) -> None:
    there = add_run(database, RunSpec(), device="cpu", session="another")
    with Reader(database) as reader:
        another = reader.session("another").id
    sessions.set_archived(database, another, True)
    sessions.move_run(database, there, "another")  # where it is: nothing changes
    assert run_ids(database) == [run]
    sessions.move_run(database, run, "another")
    assert run_ids(database) == [run, there]


def test_an_archived_session_is_left_out_until_it_is_asked_for_or_used(database: Path, run: int) -> None:
    sessions.set_archived(database, session_id(database), True)
    assert run_ids(database) == []
    assert run_ids(database, with_archived=True) == [run]
    with Reader(database) as reader:
        assert [record.id for record in reader.runs("tests")] == [run]
        assert reader.session_summaries() == []
        assert reader.session_summaries(with_archived=True)[0].session.archived
    second = add_run(database, RunSpec(), device="cpu", session="tests")
    assert run_ids(database) == [run, second]


def test_a_deleted_run_is_seen_by_nobody_until_it_is_restored(database: Path) -> None:
    kept, gone = filled(database, steps=2), filled(database, steps=2, word="dragon")
    sessions.delete_run(database, gone)
    assert run_ids(database, with_archived=True) == [kept]
    with Reader(database) as reader:
        assert search(reader, "dragon") == []
        assert reader.session("tests").runs == 1
        with pytest.raises(UserError, match=f"there is no run {gone}"):
            reader.run(gone)
    with pytest.raises(UserError, match="there is none, or it is deleted"):
        sessions.delete_run(database, gone)
    sessions.restore_run(database, gone)
    with Reader(database) as reader:
        assert [hit.run for hit in search(reader, "dragon")] == [gone]
        assert len(reader.steps(gone)) == 2
    with pytest.raises(UserError, match="is not deleted"):
        sessions.restore_run(database, gone)


def test_a_deleted_session_leaves_its_name_to_another(database: Path, run: int) -> None:
    key = session_id(database)
    sessions.delete_session(database, key)
    assert (names(database), run_ids(database)) == ([], [])
    second = add_run(database, RunSpec(), device="cpu", session="tests")
    assert sessions.restore_session(database, key) == "tests (2)"
    assert names(database) == ["tests (2)", "tests"]
    assert run_ids(database) == [run, second]


def test_what_is_deleted_can_be_listed_last_first(database: Path, run: int) -> None:
    second = add_run(database, RunSpec(), device="cpu", session="another")
    sessions.delete_run(database, run)
    sessions.delete_session(database, session_id(database, "another"))
    assert [(item.kind, item.title) for item in sessions.restorable(database)] == [
        ("session", "another"),
        ("run", "tests/1"),
    ]
    assert run_ids(database) == []
    assert second


def test_a_run_that_a_living_worker_holds_cannot_be_deleted(database: Path, claim: Claim) -> None:
    with pytest.raises(
        UserError, match=f"run {claim.run}: is running, and its worker holds it: stop it first"
    ):
        sessions.delete_run(database, claim.run)
    with pytest.raises(UserError, match=f"run {claim.run}: is running"):
        sessions.delete_session(database, session_id(database))
    assert run_ids(database) == [claim.run]
    connection = connect(database)
    connection.execute("UPDATE run SET worker_start = 'gone', heartbeat = 0")
    connection.close()
    sessions.delete_run(database, claim.run)
    assert run_ids(database) == []


def test_a_run_about_which_something_is_being_worked_out_cannot_be_deleted(
    database: Path, run: int, recorder: Recorder
) -> None:
    from engine.process import process_start

    connection = connect(database)
    connection.execute(
        "INSERT INTO task"
        " (device, run, kind, arguments, requested, who, status, worker_pid, worker_start, done)"
        " VALUES ('cpu', ?, 'verify', '{}', 0, '', 'running', ?, ?, 0)",
        (run, os.getpid(), process_start(os.getpid())),
    )
    with pytest.raises(UserError, match=rf"run {run}: its worker is busy with it \(verify\)"):
        sessions.delete_run(database, run)
    connection.execute("UPDATE task SET status = 'done'")
    connection.close()
    sessions.delete_run(database, run)


def test_a_worker_takes_no_deleted_run_and_may_leave(database: Path, run: int, recorder: Recorder) -> None:
    sessions.delete_run(database, run)
    assert recorder.claim(os.getpid()) is None
    assert recorder.leave()
    sessions.restore_run(database, run)
    assert not recorder.leave()


def test_a_purge_removes_everything_and_makes_the_file_smaller(database: Path) -> None:
    kept, gone = filled(database), filled(database, steps=600, word="dragon")
    in_session = filled(database, session="another", word="unicorn")
    connection = connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    full = database.stat().st_size
    sessions.delete_run(database, gone)
    key = session_id(database, "another")
    sessions.delete_session(database, key)
    purged = sessions.purge(database, runs=[gone], sessions=[key])
    assert purged.runs == 2
    assert purged.freed_bytes == full - database.stat().st_size
    assert purged.freed_bytes > 800 * 4096
    for table in ("step", "vector", "decoded_text", "event"):
        assert count(database, f"SELECT count(*) FROM {table} WHERE run IN ({gone}, {in_session})") == 0
        assert count(database, f"SELECT count(*) FROM {table} WHERE run = {kept}") > 0
    assert count(database, "SELECT count(*) FROM session") == 1
    matching = "SELECT count(*) FROM decoded_text_index WHERE decoded_text_index MATCH '{}'"
    assert count(database, matching.format("dragon OR unicorn")) == 0
    assert count(database, matching.format("cheese")) == 200
    assert b"dragon" not in database.read_bytes()
    connection = connect(database)
    connection.execute("INSERT INTO decoded_text_index (decoded_text_index) VALUES ('integrity-check')")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    with pytest.raises(UserError, match="gone for good"):
        sessions.restore_run(database, gone)


def test_a_purge_leaves_what_others_have_just_deleted(database: Path) -> None:
    mine, others, old = (filled(database, steps=1) for _ in range(3))
    for run in (mine, others, old):
        sessions.delete_run(database, run)
    connection = connect(database)
    connection.execute(
        "UPDATE run SET deleted = ? WHERE id = ?", (time.time() - sessions.RETENTION_S - 1, old)
    )
    connection.close()
    assert sessions.purge(database, runs=[mine]).runs == 2
    sessions.restore_run(database, others)
    assert run_ids(database) == [others]


def test_a_purge_that_was_cut_short_is_finished_by_the_next(database: Path) -> None:
    run = filled(database, steps=5)
    sessions.delete_run(database, run)
    connection = connect(database)
    connection.execute("UPDATE run SET deleted = 0")  # as it is from the moment on that a purge has begun
    connection.execute("DELETE FROM vector")
    connection.close()
    with pytest.raises(UserError, match="gone for good"):
        sessions.restore_run(database, run)
    assert sessions.restorable(database) == []
    assert sessions.purge(database).runs == 1
    assert count(database, "SELECT count(*) FROM step") == 0


def test_a_fork_outlives_its_parent(database: Path, run: int) -> None:
    fork = add_run(database, RunSpec(), device="cpu", session="tests")
    connection = connect(database)
    connection.execute("UPDATE run SET parent_run = ?, parent_step = 3 WHERE id = ?", (run, fork))
    connection.close()
    sessions.delete_run(database, run)
    sessions.purge(database, runs=[run])
    with Reader(database) as reader:
        assert (reader.run(fork).parent_run, reader.run(fork).parent_step) == (None, 3)


def test_a_database_of_an_older_version_gets_smaller_too(database: Path) -> None:
    run = filled(database, steps=300)
    connection = connect(database)
    connection.execute("PRAGMA auto_vacuum=NONE")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    connection.close()
    full = database.stat().st_size
    sessions.delete_run(database, run)
    assert sessions.purge(database, runs=[run]).freed_bytes > 300 * 4096
    assert database.stat().st_size < full - 300 * 4096
    assert count(database, "PRAGMA auto_vacuum") == 2


def test_a_purge_in_another_process_lets_a_worker_record(
    database: Path, claim: Claim, recorder: Recorder
) -> None:
    gone = filled(database, steps=3000)
    sessions.delete_run(database, gone)
    program = (
        "import sys; from pathlib import Path; from engine.store.sessions import purge;"
        " print(purge(Path(sys.argv[1]), runs=[int(sys.argv[2])]).runs)"
    )
    purging = subprocess.Popen(
        [sys.executable, "-c", program, str(database), str(gone)], stdout=subprocess.PIPE, text=True
    )
    waited_s, number = [], 0
    while purging.poll() is None or number < 10:
        started = time.monotonic()
        recorder.record_step(step(claim.run, number), {})
        waited_s.append(time.monotonic() - started)
        number += 1
    assert purging.communicate()[0] == "1\n"
    assert max(waited_s) < 5
    with Reader(database) as reader:
        assert len(list(reader.all_steps(claim.run))) == number


def test_there_is_nothing_to_change_in_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        sessions.rename_session(tmp_path / "none.db", 1, "a")
    assert list(tmp_path.iterdir()) == []


def test_sizes_and_lowest_losses(database: Path) -> None:
    run = filled(database, steps=10)
    with Reader(database) as reader:
        totals = reader.run_totals(run)
        assert totals.lowest_loss == 3.0 / 10
        assert 10 * 4096 < totals.size_bytes < 10 * 4096 + 10 * 300
        assert reader.newest_steps() == {run: (reader.session("tests").id, 9)}
        (summary,) = reader.session_summaries()
        assert (summary.session.runs, summary.matches) == (1, 0)
        assert summary.active == reader.run(run).created
