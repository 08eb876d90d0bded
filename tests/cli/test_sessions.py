"""`sessions` and `search`: what is recorded is listed, found, named, put away and deleted."""

import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.store.sessions import delete_run, delete_session

from .conftest import HOSTILE, TARGET, Call, is_harmless


def objects(call: Call, *arguments: str | Path) -> list[dict[str, object]]:
    answer = call(*arguments, "--format", "jsonl")
    assert (answer.code, answer.err) == (0, "")
    return [json.loads(line) for line in answer.out.splitlines()]


def names(call: Call, database: Path, *flags: str) -> list[object]:
    return [found["session"] for found in objects(call, "sessions", "--db", database, *flags)]


def test_sessions_are_listed_with_their_figures(call: Call, database: Path) -> None:
    tidy, hostile = objects(call, "sessions", "--db", database)
    assert (tidy["session"], tidy["runs"], tidy["matched"], tidy["lowest_loss"]) == ("tidy", 1, 1, 3.592 / 5)
    assert (hostile["runs"], hostile["matched"], hostile["tags"]) == (2, 0, [])
    assert isinstance(hostile["size_bytes"], int)
    assert hostile["size_bytes"] > 4 * len(HOSTILE)
    lines = call("sessions", "--db", database).out.splitlines()
    assert lines[0].split() == ["session", "runs", "matched", "loss", "size", "active", "tags"]
    assert lines[1].split()[:4] == ["tidy", "1", "1", "0.7184"]
    assert lines[2].split()[:4] == ["hostile", "2", "0", "1.7960"]
    assert lines[2].split()[4:6] == [f"{hostile['size_bytes'] / 1024:.1f}", "KiB"]


def test_a_session_is_renamed_described_and_tagged(
    call: Call, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("sessions", "rename", "tidy", "neat", "--db", database).out == "session tidy: is neat now\n"
    assert (
        call("sessions", "tag", "neat", "ce", "slow", "--db", database).out == "session neat: tags ce, slow\n"
    )
    assert call("sessions", "note", "neat", "# One\nTwo \x1b[2J", "--db", database).code == 0
    assert call("sessions", "note", "neat", "--db", database).out == "# One\nTwo ␛[2J\n"
    found = objects(call, "sessions", "--db", database)[0]
    assert (found["session"], found["tags"], found["notes"]) == ("neat", ["ce", "slow"], "# One\nTwo \x1b[2J")
    monkeypatch.setattr(sys, "stdin", io.StringIO("from a pipe\n"))
    assert call("sessions", "note", "neat", "-", "--db", database).code == 0
    assert call("sessions", "note", "neat", "--db", database).out == "from a pipe\n"
    assert call("sessions", "tag", "neat", "--db", database).out == "session neat: tags none\n"
    assert names(call, database) == ["neat", "hostile"]


def test_archived_sessions_are_left_out_unless_asked_for(call: Call, database: Path) -> None:
    assert call("sessions", "archive", "tidy", "--db", database).out == "session tidy: archived\n"
    assert names(call, database) == ["hostile"]
    assert names(call, database, "--archived") == ["tidy", "hostile"]
    assert [run["run"] for run in objects(call, "list", "--db", database)] == [2, 3]
    assert [run["run"] for run in objects(call, "list", "--archived", "--db", database)] == [1, 2, 3]
    assert [run["run"] for run in objects(call, "list", "--session", "tidy", "--db", database)] == [1]
    assert objects(call, "search", "little girl", "--db", database) == []
    assert len(objects(call, "search", "little girl", "--archived", "--db", database)) == 1
    assert call("sessions", "unarchive", "tidy", "--db", database).code == 0
    assert names(call, database) == ["tidy", "hostile"]


def test_deleting_needs_a_word_and_is_final(call: Call, database: Path) -> None:
    answer = call("sessions", "delete", "hostile", "--db", database)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "sonar-explore: session hostile: would be gone for good: add --yes\n"
    assert call("sessions", "delete", "--run", "3", "--db", database).code == 2
    assert len(objects(call, "list", "--db", database)) == 3
    full = database.stat().st_size
    answer = call("sessions", "delete", "hostile", "--yes", "--db", database)
    assert answer.code == 0
    assert answer.out.startswith("session hostile: deleted; the file is ")
    assert database.stat().st_size < full - 2 * len(HOSTILE)
    assert call("sessions", "delete", "--run", "1", "--yes", "--db", database).code == 0
    assert objects(call, "list", "--db", database) == []
    assert call("sessions", "restore", "--db", database).out == "nothing that was deleted can be had back\n"


def test_a_file_that_does_not_become_smaller_is_not_said_to(call: Call, database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT * FROM run").fetchall()
        full = database.stat().st_size
        answer = call("sessions", "delete", "--run", "3", "--yes", "--db", database)
        assert database.stat().st_size >= full
    assert (answer.code, answer.out) == (0, "run 3: deleted\n")


def test_what_a_killed_screen_deleted_can_be_had_back(call: Call, database: Path) -> None:
    delete_run(database, 2)
    delete_session(database, 1)
    delete_session(database, 2)
    assert names(call, database) == []
    answer = call("sessions", "restore", "--db", database)
    assert sorted(answer.out.splitlines()) == [
        "run hostile/1: is back",
        "session hostile: is back",
        "session tidy: is back",
    ]
    assert [run["run"] for run in objects(call, "list", "--db", database)] == [1, 2, 3]


def test_a_run_is_named_and_moved(call: Call, database: Path) -> None:
    assert call("sessions", "rename-run", "2", "cold", "--db", database).out == "run 2: is cold now\n"
    assert call("sessions", "move", "2", "tidy", "--db", database).out == "run 2: is tidy/2 now\n"
    run = objects(call, "list", "--session", "tidy", "--db", database)[1]
    assert (run["run"], run["number"], run["name"]) == (2, 2, "cold")
    assert call("sessions", "rename-run", "2", "--db", database).out == "run 2: has no name now\n"


def test_search_finds_the_run_that_ever_said_it(call: Call, database: Path) -> None:
    assert objects(call, "search", "GIRL lil", "--db", database) == [
        {
            "type": "hit",
            "run": 1,
            "session": "tidy",
            "number": 1,
            "name": "bold",
            "kind": "prediction",
            "step": 2,
            "texts": 1,
            "text": TARGET,
            "spans": [[TARGET.index("girl"), TARGET.index("girl") + 4], [len(TARGET) - 5, len(TARGET) - 1]],
        }
    ]
    line = call("search", "cheese", "--db", database).out.splitlines()[0]
    assert line.split()[:5] == ["1", "tidy/1", "step", "0", "prediction"]
    assert line.endswith("I eat cheese every day.")


def test_hostile_texts_are_found_and_shown_harmlessly(call: Call, database: Path) -> None:
    answer = call("search", "owned", "--db", database)
    assert is_harmless(answer.out)
    assert "owned" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 200
    assert {found["text"] for found in objects(call, "search", "owned", "--db", database)} == {HOSTILE}


def test_a_search_that_finds_nothing_says_so(call: Call, database: Path) -> None:
    for text in ("dragon", '" OR', "NEAR(", "*"):
        answer = call("search", text, "--db", database)
        assert (answer.code, answer.out, answer.err) == (0, "", "no run ever decoded to that\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("sessions", "rename", "none", "x"), "session: 'none': there is none of that name in "),
        (("sessions", "rename", "tidy", "hostile"), "session: 'hostile': there is one of that name"),
        (
            ("sessions", "rename", "tidy", "a\nb"),
            "session: 'a\\nb': a name has 1 to 200 printable characters",
        ),
        (("sessions", "tag", "tidy", "a,b"), "tag: 'a,b': a tag has 1 to 40 printable characters"),
        (("sessions", "note", "tidy", "\udcff"), "notes: hold bytes that are no UTF-8"),
        (("sessions", "move", "9", "tidy"), "run 9: there is none, or it is deleted"),
        (("sessions", "move", "x", "tidy"), "run: 'x': should be the number of a run"),
        (("sessions", "delete", "--yes"), "delete: should be given the name of a session, or --run RUN"),
        (("sessions", "delete", "tidy", "--run", "1", "--yes"), "delete: should be given the name"),
        (("sessions", "delete", "--run", "9", "--yes"), "run: there is no run 9 in "),
        (("sessions", "--archived", "rename", "tidy", "x"), "sessions: --archived and --format do not go"),
        (("search",), "Missing argument 'TEXT'"),
        (("search", ""), "text: '': empty; what to look for is needed"),
        (("search", " \n\t"), "text: ' \\n\\t': empty; what to look for is needed"),
        (("search", "", "--format", "jsonl"), "text: '': empty; what to look for is needed"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    call: Call, database: Path, arguments: tuple[str, ...], line: str
) -> None:
    before = objects(call, "sessions", "--db", database), objects(call, "list", "--db", database)
    answer = call("--db", database, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"sonar-explore: {line}")
    assert answer.err.count("\n") == 1
    assert (objects(call, "sessions", "--db", database), objects(call, "list", "--db", database)) == before
