"""The published tables as data, and the database that is shipped."""

import sqlite3
from pathlib import Path

import pytest

from engine import process, reference
from engine.export import Format, write_file
from engine.store.reading import Reader
from engine.store.records import Status
from engine.store.writing import who

TARGET = "Once upon a time, there was a little girl named Lily."
SHIPPED = Path(__file__).parents[1] / "sessions.db"

PUBLISHED_COSINE = """\
| 0 | -0.050 | 0.050 | He does like ice cream, and cheese. | I eat cheese every day. |
| 10 | -0.333 | 0.333 | But it's name: Loda, it can eat. | ,,, Lily Lily Lily... |
| 20 | -0.386 | 0.386 | He'd name it:Lada something to cry... | ,,,,,,,,,,,, Lily Lily... |
| 30 | -0.372 | 0.372 | He's Name:Lowida, could find something... | Lily Lily Lily Lily... |
| 40 | -0.413 | 0.413 | He's name.Loudly, find something to sing... | Lily Lily Lily Lily... |
| 50 | -0.432 | 0.432 | He's name.Loudly, find something to sing... | Lily Lily Lily Lily... |
| 60 | -0.462 | 0.462 | He's name.Loudness or find something... | Lily Lily Lily Lily... |
| 70 | -0.421 | 0.421 | He wanted holy name.Lida could find... | Lily Lily Lily Lily... |
| 80 | -0.469 | 0.469 | She would like inLah, remember a song... | Lily Lily Lily Lily... |
| 90 | -0.493 | 0.493 | He would name inLahire some story... | Lily Lily Lily Lily... |
| 99 | -0.506 | 0.506 | He would name inLahire some story... | Lily Lily Lily Lily... |
"""

PUBLISHED_CE = f"""\
| 0 | 3.592 | 0.050 | "Yeah" is "Yeah" is "Yeah"... | I eat cheese every day. |
| 10 | 0.539 | 0.134 | (a) "Light" is a term... | {TARGET} |
| 20 | 0.406 | 0.138 | - (a) " (a) " (b) "... | {TARGET} |
| 30 | 0.325 | 0.140 | - Which one is allowed... | {TARGET} |
| 40 | 0.260 | 0.143 | - "Yes" is a Hebrew word... | {TARGET} |
| 50 | 0.205 | 0.144 | () "One lot" is ready... | {TARGET} |
| 60 | 0.162 | 0.144 | (Yes) One lot is ready... | {TARGET} |
| 70 | 0.135 | 0.145 | (Yes) One person is mild... | {TARGET} |
| 80 | 0.119 | 0.146 | (Yes) One person is mild... | {TARGET} |
| 90 | 0.107 | 0.146 | (Yes) One letter is sweet... | {TARGET} |
| 99 | 0.099 | 0.146 | (Yes) One letter is sweet... | {TARGET} |
"""


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A database with the published session alone, as it would be shipped."""
    database = tmp_path / "published.db"
    reference.add_published_runs(database)
    reference.strip(database)
    return database


def test_the_published_tables_export_as_they_were_printed(published: Path, tmp_path: Path) -> None:
    with Reader(published) as reader:
        write_file(reader, [1, 2], tmp_path / "tables.md", Format.MARKDOWN)
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    header = (
        "| Step | Loss | Sim | Decoded z | Decoded Prediction |\n"
        "|-----:|-----:|----:|-----------|-------------------|\n"
    )
    assert f"### Cosine Loss (lr=0.01, steps=100)\n\n{header}{PUBLISHED_COSINE}" in text
    assert f"### Decoder CE Loss (lr=0.01, steps=100)\n\n{header}{PUBLISHED_CE}" in text


def test_the_published_runs_are_marked_and_say_what_decoded_z_is(published: Path) -> None:
    with Reader(published) as reader:
        (session,) = reader.sessions()
        runs = reader.runs()
        vectors = [list(reader.vectors(run.id, "z")) for run in runs]
    assert session.name == "Published: decoder cross-entropy and cosine"
    assert "Decoder Cross-Entropy Loss Experiments" in session.notes
    assert "after the row's update" in session.notes
    assert [(run.origin, run.status, run.last_step, run.steps) for run in runs] == [
        ("published", Status.FINISHED, 99, 100)
    ] * 2
    assert [run.first_match_step for run in runs] == [None, 10]
    assert [run.loss_name for run in runs] == ["cosine", "ce"]
    assert vectors == [[], []]


def test_a_stripped_database_is_one_file_that_looking_does_not_change(published: Path) -> None:
    before = published.read_bytes()
    assert before[18:20] == b"\x01\x01"  # read and write version 1: rollback journal, not WAL
    _look_at(published)
    assert published.read_bytes() == before
    assert not list(published.parent.glob("*-wal")) + list(published.parent.glob("*-shm"))
    connection = sqlite3.connect(published)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.close()


def test_the_shipped_database_holds_the_published_and_the_recorded_runs() -> None:
    """It is also the default database of a checkout: runs that were added since then come after these."""
    with Reader(SHIPPED) as reader:
        assert [session.name for session in reader.sessions()][:2] == [
            "Published: decoder cross-entropy and cosine",
            "Embedded models",
        ]
        runs = reader.runs()[:4]
        assert [(run.origin, run.loss_name, run.status) for run in runs] == [
            ("published", "cosine", Status.FINISHED),
            ("published", "ce", Status.FINISHED),
            ("recorded", "cosine", Status.FINISHED),
            ("recorded", "ce", Status.FINISHED),
        ]
        assert len(list(reader.all_steps(runs[0].id))) == len(list(reader.all_steps(runs[1].id))) == 11
        for run in runs[2:]:
            assert [step.step for step in reader.all_steps(run.id)] == list(range(101))
            assert [step for step, _ in reader.vectors(run.id, "z")] == list(range(101))
            assert run.bundle == "mini"
            assert {event.who for event in reader.events(run.id)} == {""}
    cosine, cross_entropy = runs[2:]
    assert (cross_entropy.decoded_prediction, cross_entropy.match) == (TARGET, True)
    assert cosine.match is False
    assert cosine.similarity is not None
    assert cross_entropy.similarity is not None
    assert cosine.similarity > cross_entropy.similarity


def test_making_it_leaves_one_file_that_names_neither_this_machine_nor_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = reference.published() | {"steps": 2}
    monkeypatch.setattr(reference, "published", lambda: tables)
    database = tmp_path / "made.db"
    assert reference.main([str(database)]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["made.db"]
    content = database.read_bytes()
    assert content[18:20] == b"\x01\x01"
    for name in (str(tmp_path), who(), process.boot_id()):
        assert name.encode() not in content
    with Reader(database) as reader:
        assert [run.origin for run in reader.runs()] == ["published", "published", "recorded", "recorded"]
        assert [run.status for run in reader.runs()] == [Status.FINISHED] * 4
        assert [step.step for step in reader.all_steps(3)] == [0, 1, 2]
        assert reader.workers() == []


def test_the_shipped_database_is_not_changed_by_looking() -> None:
    before, modified = SHIPPED.read_bytes(), SHIPPED.stat().st_mtime_ns
    _look_at(SHIPPED)
    assert (SHIPPED.read_bytes(), SHIPPED.stat().st_mtime_ns) == (before, modified)


def _look_at(database: Path) -> None:
    with Reader(database) as reader:
        for run in reader.runs():
            assert list(reader.all_steps(run.id))
            reader.loss_curve(run.id, 40)
            reader.events(run.id)
