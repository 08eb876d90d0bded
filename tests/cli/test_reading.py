"""`list`, `show`, `export`: what is printed is what is stored, and nothing is changed by looking."""

import json
import sqlite3
from pathlib import Path

import pytest

from engine.objective import TERMS
from engine.spec import RunSpec
from engine.store.schema import prepare
from engine.store.writing import add_run

from .conftest import HOSTILE, TARGET, Call, is_harmless


def test_list_shows_every_run_in_one_line(call: Call, database: Path) -> None:
    answer = call("list", "--db", database)
    lines = answer.out.splitlines()
    assert (answer.code, answer.err, len(lines)) == (0, "", 5)
    assert lines[0].split()[:2] == ["run", "status"]
    assert lines[2].split()[:8] == ["1", "finished", "ce", "4/4", "0.718", "0.090", "2", "tidy"]
    assert "tidy #1 bold" in lines[2]
    assert lines[3].split()[:4] == ["2", "stopped", "cosine", "1/100"]
    assert lines[4].split()[:4] == ["3", "crashed", "ce", "0/100"]
    assert is_harmless(answer.out)


def test_list_can_be_asked_for_one_session(call: Call, database: Path) -> None:
    answer = call("list", "--session", "hostile", "--format", "jsonl", "--db", database)
    assert [json.loads(line)["run"] for line in answer.out.splitlines()] == [2, 3]
    answer = call("list", "--session", "tidyy", "--db", database)
    line = f"sonar-explore: session: 'tidyy': there is none of that name in {database}\n"
    assert (answer.code, answer.out, answer.err) == (2, "", line)


def test_list_as_json_holds_the_texts_exactly_and_no_control_character(call: Call, database: Path) -> None:
    answer = call("--db", database, "list", "--format", "jsonl")
    first, second, third = map(json.loads, answer.out.splitlines())
    assert first["status"] == "finished"
    assert first["first_match_step"] == 2
    assert first["loss"] == 3.592 / 5
    assert second["decoded_prediction"] == HOSTILE
    assert third["error"] == "the worker is gone"
    assert list(first) == list(second) == list(third)
    assert answer.out.isascii()
    assert is_harmless(answer.out)


def test_list_without_runs_says_how_to_make_one(call: Call, tmp_path: Path) -> None:
    prepare(tmp_path / "sessions.db")
    answer = call("list", "--db", tmp_path / "sessions.db")
    assert (answer.code, answer.out) == (0, "")
    assert "sonar-explore run" in answer.err


def test_show_prints_facts_events_and_decoded_rows(call: Call, database: Path) -> None:
    answer = call("show", "1", "--db", database)
    facts, rows = answer.out.split("\n\n")
    assert "target     Once upon a time, there was a little girl named Lily." in facts.splitlines()
    assert "status     finished, last step 4, match, first at step 2" in facts.splitlines()
    assert "finished match at step 4" in facts
    header, *lines = rows.splitlines()
    assert header.split() == ["step", "loss", "sim", "match", "decoded", "prediction", "decoded", "z"]
    assert [line.split()[:4] for line in lines] == [
        ["0", "3.592", "0.050", "no"],
        ["2", "1.197", "0.070", "yes"],
        ["4", "0.718", "0.090", "yes"],
    ]
    assert lines[0].index("I eat cheese") == header.index("decoded prediction")


def test_show_says_that_a_run_is_compiled(call: Call, database: Path) -> None:
    run = add_run(database, RunSpec(compile=True, seed=3), device="cuda:0", session="compiled")
    shown = call("show", run, "--db", database).out.splitlines()
    assert "models     mini on cuda:0, compiled, seed 3" in shown
    assert "compiled" not in call("show", "1", "--db", database).out


@pytest.mark.parametrize("stored", ["{broken", "[]", "null", "17", '{"continuation": 5, "compile": "x"}'])
def test_show_bears_a_spec_that_cannot_be_read(call: Call, database: Path, stored: str) -> None:
    run = add_run(database, RunSpec(seed=3), device="cuda:0", session="damaged")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE run SET spec = ? WHERE id = ?", (stored, run))
    connection.close()
    shown = call("show", run, "--db", database)
    assert shown.code == 0
    assert "models     mini on cuda:0, seed 3" in shown.out.splitlines()


def test_show_prints_the_last_row_although_it_was_not_decoded(call: Call, database: Path) -> None:
    rows = call("show", "3", "--db", database).out.split("\n\n")[1].splitlines()
    assert rows[1].split() == ["0", "3.592", "0.050"]


def test_hostile_texts_are_shown_harmlessly_in_every_form(call: Call, database: Path) -> None:
    for form in ("table", "jsonl", "markdown"):
        answer = call("show", "2", "--format", form, "--db", database)
        assert answer.code == 0
        assert is_harmless(answer.out), form
    table = call("show", "2", "--db", database).out.split("\n\n")[1].splitlines()
    assert len(table) == 3
    assert "[bold]a|b[/bold]" in table[1]


def test_show_as_json_keeps_the_contract(call: Call, database: Path) -> None:
    lines = [
        json.loads(line) for line in call("show", "1", "--format", "jsonl", "--db", database).out.splitlines()
    ]
    assert [line["type"] for line in lines] == ["step"] * 5 + ["summary"]
    assert lines[0] == {
        "type": "step",
        "run": 1,
        "step": 0,
        "loss": 3.592,
        "ce": 3.592,
        **dict.fromkeys(TERMS.keys() - {"ce"}),
        "similarity": 0.05,
        "lr": 0.01,
        "grad_norm": 2.0,
        "z_norm": 0.207,
        "decoded_z": "I like cheese.",
        "decoded_prediction": "I eat cheese every day.",
        "match": False,
        "elapsed_ms": 5.0,
        "measures": None,
        "sentences": None,
        "reread_prediction": None,
    }
    for field in ("decoded_z", "decoded_prediction", "match"):
        assert lines[1][field] is None
    assert lines[4]["lr"] is None
    assert lines[5] == {
        "type": "summary",
        "run": 1,
        "session": "tidy",
        "status": "finished",
        "steps": 4,
        "loss": 3.592 / 5,
        "similarity": 0.09,
        "match": True,
        "first_match_step": 2,
        "decoded_prediction": TARGET,
    }


def test_show_as_markdown_has_the_published_form(call: Call, database: Path) -> None:
    assert call("show", "1", "--format", "markdown", "--db", database).out.splitlines() == [
        '**Target**: "Once upon a time, there was a little girl named Lily." **Init**: "I like cheese."',
        "",
        "### Decoder CE Loss (lr=0.01, steps=4)",
        "",
        "| Step | Loss | Sim | Decoded z | Decoded Prediction |",
        "|-----:|-----:|----:|-----------|-------------------|",
        "| 0 | 3.592 | 0.050 | I like cheese. | I eat cheese every day. |",
        f"| 2 | 1.197 | 0.070 | =1+1 | {TARGET} |",
        f'| 4 | 0.718 | 0.090 | "Yes", it said. | {TARGET} |',
    ]


def test_export_writes_the_format_that_the_name_asks_for(call: Call, database: Path, tmp_path: Path) -> None:
    for suffix, beginning in (
        (".md", "**Target**"),
        (".csv", "run,step,loss"),
        (".jsonl", '{"type": "step"'),
    ):
        path = tmp_path / f"runs{suffix}"
        answer = call("export", "1", "2", "--to", path, "--db", database)
        assert (answer.code, answer.out, answer.err) == (0, "", "")
        assert path.read_text(encoding="utf-8").startswith(beginning)


def test_export_to_stdout_takes_the_format_option(call: Call, database: Path) -> None:
    exported = call("export", "1", "--to", "-", "--format", "jsonl", "--db", database).out
    assert exported == call("show", "1", "--format", "jsonl", "--db", database).out


def test_export_overwrites_only_when_forced(call: Call, database: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.md"
    path.write_text("mine", encoding="utf-8")
    refused = call("export", "1", "--to", path, "--db", database)
    assert refused.code == 2
    assert refused.err == f"sonar-explore: to: {path}: is there already; --force overwrites it\n"
    assert path.read_text(encoding="utf-8") == "mine"
    assert call("export", "1", "--to", path, "--force", "--db", database).code == 0
    assert "### Decoder CE Loss" in path.read_text(encoding="utf-8")


def test_looking_changes_no_byte_of_the_runs(call: Call, database: Path) -> None:
    before = database.read_bytes()
    for arguments in (["list"], ["show", "1"], ["export", "1", "2", "--to", "-"], ["worker", "status"]):
        assert call(*arguments, "--db", database).code == 0
    assert database.read_bytes() == before


def test_the_database_is_named_by_option_environment_or_place(
    call: Call, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = call("list", "--db", database).out
    assert call("--db", database, "list").out == listed
    assert call("--db", tmp_path / "other.db", "list", "--db", database).out == listed
    monkeypatch.chdir(tmp_path)
    assert call("list").out == listed
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("SONAR_EXPLORE_DB", str(database))
    assert call("list").out == listed
