"""Databases of the earlier schemas, upgraded: tests/data/revision_0001.db and revision_0002.db."""

import re
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.control import request as ask
from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.schema import SCHEMA, prepare
from engine.store.searching import search
from engine.store.writing import add_run

DATA = Path(__file__).parents[1] / "data"
REVISIONS = [path.stem.removeprefix("revision_") for path in sorted(DATA.glob("revision_*.db"))]
"""Of every schema that was ever released before this one."""

Content = dict[str, tuple[list[str], list[tuple[object, ...]]]]
"""Column names and rows of each table."""


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def original(revision: str) -> Path:
    return DATA / f"revision_{revision}.db"


@pytest.fixture
def old(original: Path, tmp_path: Path) -> Path:
    """A copy of the database, as a user has it."""
    return Path(shutil.copy(original, tmp_path / "old.db"))


@pytest.fixture
def backup(old: Path, revision: str) -> Path:
    """Where the copy of it goes."""
    return old.with_name(f"old.db.backup-{int(revision)}")


def test_there_is_a_database_of_every_released_schema() -> None:
    assert [f"{number:04}" for number in range(1, int(SCHEMA))] == REVISIONS


def content(path: Path, like: Content | None = None) -> Content:
    """What the tables hold; of the tables and columns of `like` alone where it is given."""
    connection = sqlite3.connect(path)
    if like is None:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        names = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for (table,) in tables.fetchall()
        }
    else:
        names = {table: columns for table, (columns, _) in like.items()}
    found = {
        table: (columns, sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}"), key=repr))
        for table, columns in names.items()
    }
    connection.close()
    return found


def test_an_upgrade_keeps_every_value_of_every_table(old: Path, revision: str) -> None:
    before = content(old)
    assert {"run", "session", "step", "vector", "event", "checkpoint", "command", "worker"} <= set(before)
    assert len(before["step"][1]) > 200
    prepare(old)
    after = content(old, like=before)
    assert before.pop("alembic_version")[1] == [(revision,)]
    assert after.pop("alembic_version")[1] == [(SCHEMA,)]
    assert after == before
    connection = sqlite3.connect(old)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_the_schema_is_that_of_a_new_database(old: Path, tmp_path: Path) -> None:
    prepare(old)
    prepare(tmp_path / "new.db")
    assert schema_of(old) == schema_of(tmp_path / "new.db")


def schema_of(path: Path) -> dict[str, object]:
    """The columns of each table, and how each index and trigger is made."""
    connection = sqlite3.connect(path)
    made: dict[str, object] = {}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall():
        made[name] = (
            sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
            if kind == "table"
            else sql
        )
    connection.close()
    return made


def test_reading_an_older_database_upgrades_it_and_shows_what_it_holds(old: Path, original: Path) -> None:
    stored = content(original)
    names = stored["step"][0]
    rows = [dict(zip(names, row, strict=True)) for row in stored["step"][1]]
    with Reader(old) as reader:
        runs = reader.runs()
        assert [run.weights for run in runs][:4] == [{"cosine": 1.0}, {"ce": 1.0}] * 2
        assert [run.id for run in runs] == sorted({row["run"] for row in rows})  # type: ignore[type-var]
        for run in runs:
            stored_losses = {row["step"]: row["loss"] for row in rows if row["run"] == run.id}
            assert {step.step: step.loss for step in reader.all_steps(run.id)} == stored_losses
            conditions = [
                row[names.index("condition")]
                for names, found in [stored.get("break_point", ([], []))]
                for row in found
                if row[names.index("run")] == run.id
            ]
            assert sorted(run.break_points) == sorted(conditions)  # type: ignore[type-var]
        assert reader.notice is None


def test_the_texts_of_an_older_database_can_be_found(old: Path, original: Path) -> None:
    """Every text that a run ever decoded, in the first row that has it."""
    connection = sqlite3.connect(original)
    said: dict[tuple[int, str, str], int] = {}
    for kind, column in (("z", "decoded_z"), ("prediction", "decoded_prediction")):
        for run, step, text in connection.execute(
            f"SELECT run, min(step), {column} FROM step WHERE {column} IS NOT NULL GROUP BY run, {column}"
        ):
            said[run, kind, text] = step
    connection.close()
    assert len(said) > 30
    with Reader(old) as reader:
        for (run, kind, text), step in said.items():
            words = " ".join(re.findall(r"\w+", text))
            if words:
                hits = [hit for hit in search(reader, f'"{words}"') if (hit.run, hit.kind) == (run, kind)]
                assert hits, text
                assert hits[0].step <= step
    connection = sqlite3.connect(old)
    connection.execute("INSERT INTO decoded_text_index (decoded_text_index) VALUES ('integrity-check')")
    connection.close()


def test_a_copy_as_it_was_is_put_beside_it(old: Path, original: Path, backup: Path) -> None:
    prepare(old)
    assert content(backup) == content(original)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_a_copy_that_is_there_already_stays(old: Path, original: Path, backup: Path) -> None:
    backup.write_bytes(b"the only copy of something else")
    prepare(old)
    assert backup.read_bytes() == b"the only copy of something else"
    assert content(backup.with_name(f"{backup.name}.2")) == content(original)


def test_a_run_of_an_older_database_can_be_steered(old: Path) -> None:
    run = add_run(old, RunSpec(), device="nowhere", session="new")
    with pytest.raises(UserError, match="has ended"):
        ask(old, 4, "pause")
    with Reader(old) as reader:
        assert reader.run(run).number == 1


def test_two_processes_that_open_it_at_once_both_read_it(old: Path, backup: Path) -> None:
    steps = len(content(old)["step"][1])
    program = (
        "import pathlib, sys\n"
        "from engine.store.reading import Reader\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "with Reader(pathlib.Path(sys.argv[1])) as reader:\n"
        "    print(sum(len(list(reader.all_steps(run.id))) for run in reader.runs()))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(old)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in processes] == [f"{steps}\n"] * 2
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(path.name for path in old.parent.glob("*.backup-*")) == [backup.name]


def test_an_older_database_that_cannot_be_written_is_named_with_the_reason(old: Path, revision: str) -> None:
    old.with_name("old.db.lock").mkdir()  # nobody can take a lock that is a folder, not even root
    before = old.read_bytes()
    with pytest.raises(
        UserError, match=rf"old\.db: cannot be written: .*; it has schema {revision} .* {SCHEMA}"
    ) as error:
        Reader(old)
    assert "\n" not in str(error.value)
    assert old.read_bytes() == before


def test_an_upgrade_that_fails_half_way_leaves_the_database_as_it_was(old: Path) -> None:
    connection = sqlite3.connect(old)
    connection.execute("ALTER TABLE step ADD COLUMN reread_prediction")  # the newest schema's last change
    connection.close()
    before = content(old)
    with pytest.raises(UserError, match=r"old\.db: cannot be written: duplicate column name: reread_"):
        prepare(old)
    assert content(old) == before
    assert list(old.parent.glob("*.backup-*")) == []  # a copy of what is there unchanged


def test_an_upgrade_through_a_link_puts_copy_and_lock_beside_the_file(
    old: Path, original: Path, backup: Path, tmp_path: Path
) -> None:
    """Whatever name a process knows it by, all of them take turns at the same lock."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = folder / "link.db"
    link.symlink_to(old)
    with Reader(link) as reader:
        assert len(reader.runs()) >= 4
    assert [path.name for path in folder.iterdir()] == ["link.db"]
    assert content(backup) == content(original)


def test_a_disk_that_is_full_leaves_an_older_database_as_it_was(old: Path, revision: str) -> None:
    before, limit = old.read_bytes(), old.stat().st_size // 2  # bytes: no file may grow beyond
    answer = subprocess.run(
        [sys.executable, "-m", "tui", "list", "--db", str(old)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "cannot be written: " in answer.stderr
    assert f"has schema {revision} and has to be brought to" in answer.stderr
    assert old.read_bytes() == before
    assert list(old.parent.glob("*.backup-*")) == []


def test_an_upgrade_takes_over_what_a_living_worker_has_written(
    old: Path, revision: str, backup: Path
) -> None:
    """A worker of the older program goes on writing, before and after."""
    with sqlite3.connect(old) as worker:
        worker.execute("PRAGMA journal_mode=WAL")
        insert = (
            "INSERT OR REPLACE INTO step (run, step, loss, terms, similarity, grad_norm, z_norm, lr,"
            " elapsed_ms, decoded_z, decoded_prediction, match, state_hash)"
            " VALUES (4, ?, 1.0, '{}', 0, 0, 0, 0.01, 1, NULL, NULL, NULL, 'x')"
        )
        worker.execute(insert, (500,))
        worker.commit()
        with Reader(old) as reader:
            assert reader.run(4).last_step == 500
            worker.execute(insert, (501,))
            worker.commit()
            assert reader.run(4).last_step == 501
            assert reader.token_losses(4, 501) is None
    worker.close()
    copy = content(backup)
    assert copy["alembic_version"][1] == [(revision,)]
    assert max(row[1] for row in copy["step"][1] if row[0] == 4) == 500  # type: ignore[type-var]
