"""`export --session`, `export --bundle`, `import`: what a user types, and what comes of it."""

from pathlib import Path

import pytest

from engine.store.reading import Reader

from .conftest import Call, run_program


def _session(database: Path) -> str:
    with Reader(database) as reader:
        return reader.run(1).session


def test_a_session_is_exported_in_every_form(call: Call, database: Path, tmp_path: Path) -> None:
    session = _session(database)
    beginnings = {
        ".md": b"**Target**",
        ".csv": b"run,step,loss",
        ".jsonl": b'{"type": "step"',
        ".parquet": b"PAR1",
        ".html": b"<!DOCTYPE html>",
    }
    for suffix, beginning in beginnings.items():
        path = tmp_path / f"session{suffix}"
        answer = call("export", "--session", session, "--to", path, "--db", database)
        assert (answer.code, answer.out, answer.err) == (0, "", "")
        assert path.read_bytes().startswith(beginning)


def test_a_session_goes_into_another_database(call: Call, database: Path, tmp_path: Path) -> None:
    session = _session(database)
    path, other = tmp_path / "session.zip", tmp_path / "other.db"
    assert call("export", "--bundle", "--session", session, "--to", path, "--db", database).code == 0
    answer = call("import", path, "--db", other)
    with Reader(database) as there, Reader(other) as here:
        runs = here.runs()
        assert [run.decoded_prediction for run in runs] == [
            run.decoded_prediction for run in there.runs(session)
        ]
    assert answer.out == f"session {session}: run 1\n"
    again = call("import", path, "--db", other)
    assert again.code == 2
    assert again.err.startswith(f"sonar-explore: import: {path}: is here already, as session '{session}'; ")
    assert (
        call("import", path, "--again", "--session", "Twice", "--db", other).out == "session Twice: run 2\n"
    )
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["export", "--to", "a.md"], "export: give the numbers of runs, or a --session"),
        (["export", "1", "--session", "s", "--to", "a.md"], "give the numbers of runs, or a --session"),
        (["export", "--session", "nobody", "--to", "a.md"], "session: there is no session 'nobody' in"),
        (["export", "--bundle", "1", "--to", "a.zip"], "--bundle: takes a whole session: name it with"),
        (["export", "--bundle", "--session", "nobody", "--to", "a.zip"], "there is no session 'nobody'"),
        (
            ["export", "--bundle", "--session", "s", "--to", "-"],
            "--to: a bundle can only be written to a file",
        ),
        (["export", "--bundle", "--session", "s", "--to", "a", "--format", "csv"], "has a form of its own"),
        (["export", "1", "--to", "a.zip"], "a session's bundle is written with --bundle --session NAME"),
        (["export", "1", "--to", "-", "--format", "parquet"], "format: parquet is binary"),
        (["import", "a.zip"], "import: a.zip: cannot be read: No such file or directory"),
        (["import"], "Missing argument 'FILE'"),
    ],
)
def test_bad_calls_are_one_line_and_leave_nothing(
    call: Call,
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    reason: str,
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    answer = call(*arguments, "--db", database)
    assert (answer.code, answer.out) == (2, "")
    assert reason in answer.err
    assert answer.err.count("\n") == 1
    assert list(empty.iterdir()) == []


def test_a_bad_file_makes_no_database(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    path.write_bytes(b"no archive")
    for database in (tmp_path / "new.db", tmp_path / "missing" / "new.db"):
        answer = call("import", path, "--db", database)
        assert answer.code == 2
        assert answer.err.startswith(f"sonar-explore: import: {path}: is no session file")
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_is_written_to_a_pipe(database: Path) -> None:
    printed = run_program("export", "1", "2", "--to", "-", "--format", "html", "--db", database)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.startswith("<!DOCTYPE html>")
    assert printed.stdout.rstrip().endswith("</html>")
