"""The left pane on the screen: the tree, its badges, and what stays where when runs come and go."""

import re
from pathlib import Path

from engine.store.connection import connect
from engine.store.records import Status
from tests.tui.actions_runs import numbers, pane, strip
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import LARGE, SMALL, User, expect, expect_shown, lines, opened, runs_of, text


def fork(recording: Recording, run: int, parent: int, step: int) -> None:
    """Make a run a fork of another."""
    connection = connect(recording.path)
    connection.execute("UPDATE run SET parent_run = ?, parent_step = ? WHERE id = ?", (parent, step, run))
    connection.close()


async def test_forks_are_drawn_under_their_parents(database: Path, recording: Recording) -> None:
    first = recording.begin(name="first")
    recording.steps(first, published_like_rows(first, 20))
    recording.end(first, 19, Status.STOPPED)
    for step in (10, 15):
        run = recording.begin(name=f"from {step}")
        recording.steps(run, [row(run, step, loss=0.5, similarity=0.25)])
        fork(recording, run, first, step)
    fork(recording, recording.queue(name="deep"), run, 18)
    recording.queue(name="newest", session="other")
    async with opened(database, size=LARGE) as user:
        await expect(user, lambda: re.search(r" │ [▁-█]{19} 0\.2475 0\.141 ✓", text(user)))
        assert [re.sub(r" {2,}", "  ", line.rstrip()) for line in pane(user)[1:14]] == [
            " ▾ other  1",
            " ○ 1 newest  queued",
            "  –",
            " ▾ today  4",
            " □ 1 first  stopped",
            " │ " + pane(user)[6][3:].strip(),
            " ├ ● 3 @15 from 15  running",
            " │ │ ▁  0.5000 0.250",
            " │ └ ○ 4 @18 deep  queued",
            " │  –",
            " └ ● 2 @10 from 10  running",
            "  ▁  0.5000 0.250",
            "",
        ]


async def test_every_status_has_a_sign_of_its_own(database: Path, recording: Recording) -> None:
    for status in (Status.FINISHED, Status.STOPPED, Status.FAILED):
        run = recording.begin()
        recording.steps(run, [row(run, 0)])
        recording.end(run, 0, status, "it failed" if status is Status.FAILED else None)
    crashed = recording.begin()
    recording.steps(crashed, [row(crashed, 0)])
    recording.abandon(crashed)
    running = recording.begin()
    recording.steps(running, [row(running, 0)])
    paused = recording.begin()
    recording.steps(paused, [row(paused, 0)])
    recording.pause(paused, 1)
    recording.queue()
    async with opened(database) as user:
        await expect(user, lambda: len(numbers(user)) == 7)
        signs = [line[1] for line in pane(user) if re.match(r" [^ ▾] \d", line)]
        assert signs == ["○", "◆", "●", "!", "✗", "□", "■"]


async def test_at_80_columns_number_sign_loss_and_match_are_there(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(name="a long name for a narrow pane")
    recording.steps(run, published_like_rows(run, 31))
    recording.queue(name="日本語の名前がとても長い")
    async with opened(database, size=SMALL) as user:
        await expect(user, lambda: numbers(user) == ["2", "1"])
        shown = pane(user)
        assert shown[4].startswith(" ● 1 a long name")
        assert re.fullmatch(r"   [▁-█]+ 0\.1236 ✓", shown[5])
        assert all(len(line) == 80 for line in lines(user) if "日" not in line)


async def test_a_hostile_name_moves_nothing(database: Path, recording: Recording) -> None:
    recording.queue(name="\x1b[2J[red]\u202ename", session="[bold]\x07\u200bsession")
    async with opened(database) as user:
        await expect_shown(user, "␛[2J[red]�name", "[bold]␇�session")
        await user.press("S", "slash", *"[red]")
        await expect_shown(user, "1 of 1 run", "[bold]␇")


async def test_new_runs_leave_the_cursor_and_what_is_looked_at(database: Path, recording: Recording) -> None:
    for _ in range(40):
        recording.queue()
    async with opened(database) as user:
        await expect(user, lambda: len(runs_of(user).runs) == 40)
        await user.press("pagedown", "pagedown", "up")
        await expect(user, lambda: runs_of(user).selected.record.number < 20)  # type: ignore[union-attr]
        selected, before = runs_of(user).selected, _without_scrollbar(pane(user))
        for _ in range(3):
            recording.queue()
        await expect_shown(user, "43 runs")
        assert runs_of(user).selected == selected
        assert _without_scrollbar(pane(user))[1:] == before[1:]
        await user.press("home")
        await expect_shown(user, "today/43")
        recording.queue()
        await expect(user, lambda: numbers(user)[0] == "44")
        await expect_shown(user, "today/43")


async def test_a_run_that_is_queued_is_selected_in_a_closed_session(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    recording.queue()
    async with opened(database, control) as user:
        await expect(user, lambda: numbers(user) == ["1"])
        await user.press("left", "left")
        await expect(user, lambda: numbers(user) == [])
        recording.queue()
        await expect(user, lambda: any(re.match(r" ▸ today +2$", line) for line in pane(user)))
        await user.press("p")
        await expect(user, lambda: numbers(user) == ["3", "2", "1"])
        await expect_shown(user, "today/3")


async def test_a_click_on_a_session_closes_it(database: Path, recording: Recording) -> None:
    recording.queue()
    async with opened(database) as user:
        await expect(user, lambda: numbers(user) == ["1"])
        await user.click("#runs", offset=(4, 0))
        await expect(user, lambda: numbers(user) == [])
        await user.click("#runs", offset=(4, 0))
        await expect(user, lambda: numbers(user) == ["1"])


async def test_a_filter_follows_what_runs_become(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, [row(run, 0, loss=0.5)])
    async with opened(database) as user:
        await expect(user, lambda: numbers(user) == ["1"])
        await user.press("slash", *"loss<0.2")
        await expect_shown(user, "0 of 1 run")
        recording.steps(run, [row(run, 1, loss=0.1)])
        await expect_shown(user, "1 of 1 run")
        assert numbers(user) == ["1"]


async def test_where_there_is_little_height_the_strip_comes_when_asked(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "step 30 of 100")
        assert "log loss" not in text(user)
        await user.press("c")
        await expect(user, lambda: "log loss" in text(user) and len(strip(user)) == 4)
        for _ in range(6):
            await user.press("c")
        await expect(user, lambda: "log loss" not in text(user))


async def test_another_run_s_curve_replaces_the_strip(database: Path, recording: Recording) -> None:
    first = recording.begin()
    recording.steps(first, [row(first, 0, loss=2.0), row(first, 1, loss=1.0)])
    second = recording.begin()
    recording.steps(second, [row(second, 0, loss=8.0), row(second, 1, loss=7.0)])
    async with opened(database) as user:
        await expect(user, lambda: _edges(user) == ["8.0000", "7.0000"])
        await user.press("down")
        await expect(user, lambda: _edges(user) == ["2.0000", "1.0000"])


def _edges(user: User) -> list[str]:
    """The highest and the lowest value beside the strip."""
    return [word for line in strip(user)[::5] for word in line[:10].split()]


def _without_scrollbar(painted: list[str]) -> list[str]:
    return [line[:29].rstrip() for line in painted]
