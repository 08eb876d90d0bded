"""The app opens where the user was; what keeps the view is a convenience and never in the way."""

import json
from pathlib import Path

import pytest

from engine.store import sessions
from engine.store.records import Status
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import expect, expect_shown, opened, runs_of, table_of, text
from tui.view_state import ViewMemory, ViewState


@pytest.fixture
def memory(database: Path) -> ViewMemory:
    return ViewMemory(database)


@pytest.fixture
def runs(recording: Recording) -> list[int]:
    """Three runs, the oldest with rows to move in."""
    numbers = []
    for _ in range(3):
        run = recording.begin()
        recording.steps(run, published_like_rows(run, 101))
        recording.end(run, 100, Status.FINISHED)
        numbers.append(run)
    return numbers


async def test_it_opens_on_the_same_run_at_the_same_row(
    database: Path, memory: ViewMemory, runs: list[int]
) -> None:
    async with opened(database, memory=memory) as user:
        await expect_shown(user, "today/3", "step 100 of 100")
        await user.press("end")
        await expect(user, lambda: runs_of(user).selected and runs_of(user).selected.record.id == runs[0])  # type: ignore[union-attr]
        await expect(user, lambda: table_of(user).has_rows)
        await user.press("tab", "home", *["down"] * 7)
        row = table_of(user).place
        assert row is not None
        assert 0 < row < 20
        await user.press("q")
        await expect(user, lambda: not user.app.is_running)

    async with opened(database, memory=ViewMemory(database)) as user:
        await expect(user, lambda: table_of(user).place == row)
        await expect_shown(user, "today/1")
        assert runs_of(user).selected.record.id == runs[0]  # type: ignore[union-attr]
        assert table_of(user).has_focus
        assert not table_of(user).follows


async def test_a_table_that_followed_follows_again(
    database: Path, memory: ViewMemory, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 40))
    async with opened(database, memory=memory) as user:
        await expect_shown(user, "step 39 of 100")
        await user.press("q")
        await expect(user, lambda: not user.app.is_running)
    recording.steps(run, published_like_rows(run, 60)[40:])
    async with opened(database, memory=ViewMemory(database)) as user:
        await expect_shown(user, "step 59 of 100")
        assert table_of(user).follows


async def test_list_order_and_filter_are_as_they_were(
    database: Path, memory: ViewMemory, runs: list[int]
) -> None:
    async with opened(database, memory=memory) as user:
        await expect_shown(user, "today/3", "step 100 of 100")
        await user.press("S", "slash", *"match", "enter")
        await expect_shown(user, "3 of 3 runs, by loss")
        await user.press("l")
        await expect(user, lambda: "by loss" not in text(user))
        await user.press("q")
        await expect(user, lambda: not user.app.is_running)
    async with opened(database, memory=ViewMemory(database)) as user:
        await expect_shown(user, "step 100 of 100")
        assert "by loss" not in text(user)
        await user.press("l")
        await expect_shown(user, "3 of 3 runs, by loss")


async def test_marks_are_as_they_were(database: Path, memory: ViewMemory, runs: list[int]) -> None:
    async with opened(database, memory=memory) as user:
        await expect_shown(user, "today/3", "step 100 of 100")
        await user.press("end", "x", "home", "x", "q")
        await expect(user, lambda: not user.app.is_running)
    sessions.delete_run(database, runs[1])
    async with opened(database, memory=ViewMemory(database)) as user:
        await expect_shown(user, "today/3", "step 100 of 100")
        assert runs_of(user).marks.runs == (runs[0], runs[2])
        await user.press("X")
        await expect_shown(user, "A today/1", "B today/3")
        await user.press("escape", "q")
        await expect(user, lambda: not user.app.is_running)
    sessions.delete_run(database, runs[0])
    memory = ViewMemory(database)
    memory.save(ViewState(run=runs[2], marked=(runs[0], 99, runs[2], runs[2])))
    async with opened(database, memory=memory) as user:
        await expect_shown(user, "today/3", "step 100 of 100")
        await expect(user, lambda: runs_of(user).marks.runs == (runs[2],))


async def test_a_run_that_is_gone_gives_way_to_the_newest(
    database: Path, memory: ViewMemory, runs: list[int]
) -> None:
    memory.save(ViewState(run=99, row=3, pane="table"))
    async with opened(database, memory=ViewMemory(database)) as user:
        await expect_shown(user, "today/3", "step 100 of 100")
        assert runs_of(user).selected.record.id == runs[-1]  # type: ignore[union-attr]
        assert table_of(user).follows


async def test_leaving_before_anything_was_read_keeps_what_was_kept(
    tmp_path: Path, control: RecordingControl
) -> None:
    memory = ViewMemory(tmp_path / "none.db")
    kept = ViewState(run=5, row=12, pane="table")
    memory.save(kept)
    async with opened(tmp_path / "none.db", control, memory=memory) as user:
        await expect_shown(user, "No runs yet")
        await user.press("q")
        await expect(user, lambda: not user.app.is_running)
    assert ViewMemory(tmp_path / "none.db").load() == kept


async def test_the_view_is_kept_while_the_app_is_open(
    database: Path, memory: ViewMemory, runs: list[int]
) -> None:
    async with opened(database, memory=memory) as user:
        await expect_shown(user, "today/3", "step 100 of 100")
        await user.press("end")
        await expect(user, lambda: ViewMemory(database).load().run == runs[0])


DAMAGE = {
    "empty": "",
    "no json": "{",
    "a list": "[]",
    "no view": "{}",
    "not an object": '{"view": 3}',
    "wrong type": '{"view": {"run": "7"}}',
    "a truth value for a number": '{"view": {"run": true}}',
    "unknown name": '{"view": {"run": 1, "colour": "red"}}',
    "wrong list": '{"view": {"closed": [1]}}',
    "wrong marks": '{"view": {"marked": ["1"]}}',
    "a truth value for a mark": '{"view": {"marked": [true]}}',
    "no list of marks": '{"view": {"marked": 1}}',
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_as_if_it_were_not_there(memory: ViewMemory, damage: str) -> None:
    memory.path.parent.mkdir(parents=True)
    memory.path.write_text(damage)
    assert memory.load() == ViewState()
    memory.save(ViewState(run=2))
    assert memory.load() == ViewState(run=2)


async def test_a_nonsensical_view_opens_the_app_all_the_same(
    database: Path, memory: ViewMemory, runs: list[int]
) -> None:
    memory.save(
        ViewState(run=runs[0], row=10**9, pane="x", sort="x", filter="loss<<", closed=("none",), chart="x")
    )
    async with opened(database, memory=ViewMemory(database)) as user:
        await expect_shown(user, "today/1", "step 100 of 100")


def test_every_value_comes_back(memory: ViewMemory, database: Path) -> None:
    view = ViewState(3, "table", 17, True, "terms", False, "LOSS", "lily é", ("a", "b"), (7, 3))
    memory.save(view)
    assert ViewMemory(database).load() == view
    assert json.loads(memory.path.read_text())["database"] == str(database.resolve())
    assert memory.path.stat().st_mode & 0o077 == 0


def test_databases_have_their_own_views(memory: ViewMemory, tmp_path: Path, database: Path) -> None:
    memory.save(ViewState(run=1))
    assert ViewMemory(tmp_path / "other.db").load() == ViewState()
    link = tmp_path / "link.db"
    link.symlink_to(database)
    assert ViewMemory(link).load() == ViewState(run=1)


def test_a_directory_that_cannot_be_written_keeps_nothing(memory: ViewMemory) -> None:
    memory.path.parent.parent.mkdir(parents=True)
    memory.path.parent.write_text("a file in its place")
    memory.save(ViewState(run=1))
    assert memory.load() == ViewState()


async def test_two_viewers_of_one_database(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 20))
    control = RecordingControl()
    async with (
        opened(database, control, memory=ViewMemory(database)) as one,
        opened(database, control, memory=ViewMemory(database)) as other,
    ):
        await expect_shown(one, "step 19 of 100")
        await expect_shown(other, "step 19 of 100")
        await one.press("space")
        await expect_shown(one, "pending: pause")
        await expect_shown(other, "pending: pause")
        recording.steps(run, published_like_rows(run, 30)[20:])
        recording.end(run, 29, Status.STOPPED)
        await expect_shown(one, "step 29 of 100", "stopped")
        await expect_shown(other, "step 29 of 100", "stopped")
