"""Creating, migrating and refusing databases."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.schema import SCHEMA, prepare


def test_a_new_database_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    prepare(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Reader(path) as reader:
        assert reader.runs() == []


def is_no_index_for_texts(name: str | None, kind: str, parents: object) -> bool:
    """SQLite's full-text index and the tables that it keeps for itself are no models."""
    return not (name or "").startswith("decoded_text_index")


def test_migrations_make_exactly_the_tables_of_the_models(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlmodel import SQLModel

    import engine.store.tables  # noqa: F401  (its classes fill the metadata)
    from engine.store.orm import open_engine

    path = tmp_path / "new.db"
    prepare(path)
    with open_engine(path).connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_no_index_for_texts})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_a_prepared_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    prepare(path)
    before = path.read_bytes()
    prepare(path)
    assert path.read_bytes() == before


def test_two_processes_that_create_the_same_database_both_succeed(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    program = "import pathlib, sys, engine.store.schema as s; s.prepare(pathlib.Path(sys.argv[1]))"
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_newer_database_is_read_but_not_written(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    prepare(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match=rf"newer\.db: has schema 9999, newer than this program's {SCHEMA}"):
        prepare(path)
    with Reader(path) as reader:
        assert reader.runs() == []
        assert reader.notice is not None
        assert "9999" in reader.notice


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no database at all, but text", "is not an SQLite database"),
        (b"SQLite format 3\x00" + b"\xff" * 4000, "cannot be read"),
        (b"", "is empty"),
    ],
    ids=["text", "damaged", "empty"],
)
def test_a_file_that_is_no_database_is_named_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "odd.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"odd\.db: {reason}") as error:
        Reader(path)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [b"no database at all, but text", b"SQLite format 3\x00" + b"\xff" * 4000],
    ids=["text", "damaged"],
)
def test_a_file_that_is_no_database_is_never_written_to(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.db"
    path.write_bytes(content)
    with pytest.raises(UserError):
        prepare(path)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    for attempt in (Reader, prepare):
        with pytest.raises(UserError, match="of another program"):
            attempt(path)
    assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere/x\.db: cannot be written"):
        prepare(tmp_path / "nowhere" / "x.db")


def test_looking_leaves_a_database_in_rollback_mode_byte_identical(tmp_path: Path) -> None:
    path = tmp_path / "shipped.db"
    prepare(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    before, files = path.read_bytes(), sorted(tmp_path.iterdir())
    with Reader(path) as reader:
        reader.sessions()
        reader.runs()
        reader.workers()
        reader.data_version()
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == files
