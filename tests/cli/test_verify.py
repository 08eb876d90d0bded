"""`verify`: what it prints and what it ends with."""

import json
import sqlite3
from pathlib import Path

from tests.cli.conftest import Call, is_harmless, run_program, with_a_worker

QUICK = ("--device", "cpu", "--steps", "4", "--decode-every", "2", "--beam", "1", "--max-decoded-tokens", "4")


def test_a_run_and_its_fork_are_verified_and_a_changed_record_is_found_out(tmp_path: Path) -> None:
    database = tmp_path / "sessions.db"
    at = ("--db", database)
    with_a_worker(database)
    assert run_program("run", *QUICK, *at).returncode == 0
    assert run_program("fork", "1", "--step", "4", "--steps", "6", *at).returncode == 0

    equal = run_program("verify", "1", *at)
    assert equal.stdout == "run 1: all equal, bit for bit: 5 rows (steps 0 to 4)\n", equal.stderr
    assert (equal.returncode, equal.stderr) == (0, "")
    of_fork = run_program("verify", "2", "--to", "5", "--format", "json", *at)
    assert of_fork.returncode == 0, of_fork.stderr
    found = json.loads(of_fork.stdout)
    assert (found["equal"], found["exact"], found["first"]) == (True, True, None)
    assert (found["run"], found["first_step"], found["last_step"]) == (2, 4, 5)

    connection = sqlite3.connect(database)
    connection.execute("UPDATE step SET decoded_z = 'a\x1b[2Jb' WHERE run = 1 AND step = 2")
    connection.execute("UPDATE step SET loss = loss + 0.5 WHERE run = 1 AND step = 3")
    connection.commit()
    connection.close()
    changed = run_program("verify", "1", *at)
    assert changed.returncode == 1
    first, largest = changed.stdout.splitlines()
    assert first.startswith("run 1: differs from step 2: decoded_z “a␛[2Jb” → “")
    assert first.endswith("; 2 of 5 rows (steps 0 to 4)")
    assert largest == "  largest difference of loss: 0.5 at step 3"
    assert is_harmless(changed.stdout)
    as_json = run_program("verify", "1", "--format", "json", *at)
    assert as_json.returncode == 1
    found = json.loads(as_json.stdout)
    assert (found["first"]["step"], found["first"]["field"]) == (2, "decoded_z")
    assert (found["first"]["recorded"], found["differing_rows"]) == ("a\x1b[2Jb", 2)
    history = run_program("show", "1", *at).stdout
    assert "verified" in history
    run_program("worker", "stop", *at)


def test_what_cannot_be_verified_is_said_in_one_line(call: Call, database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("UPDATE run SET origin = 'published' WHERE id = 1")
    connection.commit()
    connection.close()
    for arguments, line in (
        (("1",), "run 1: is published, and was never run here: there is nothing to verify"),
        (("9",), f"run: there is no run 9 in {database}"),
        (("x",), "run: 'x': should be the number of a run, as `sonar-explore list` shows it"),
        (("2", "--to", "many"), "to: 'many': should be a whole number"),
        (("2", "--to", "2"), "to: 2: run 2 has rows 0 to 1"),
        (("2", "--device", "tpu"), "device: 'tpu': allowed are auto, cpu, cuda, cuda:N"),
    ):
        answer = call("verify", *arguments, "--db", database)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == f"sonar-explore: {line}\n"
