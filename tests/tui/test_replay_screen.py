"""A replay on the screen: everything moves together, nothing while it is paused, and no run is touched."""

import re
from pathlib import Path

import pytest
from textual.widget import Widget

from engine.spec import PUBLISHED_TARGET
from engine.store.records import Status
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import LARGE, MEDIUM, SMALL, User, expect, expect_shown, lines, opened, text
from tests.tui.test_replay import HandClock
from tests.tui.test_rows_on_screen import HOSTILE
from tui.app import ExplorerApp
from tui.numbers import loss_text
from tui.playback import Speed
from tui.replay import ReplayRequest
from tui.settings import Settings
from tui.themes import THEMES
from tui.widgets.chart_strip import ChartStrip
from tui.widgets.scrubber import Scrubber
from tui.widgets.trajectory_table import TrajectoryTable


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def finished(recording: Recording) -> int:
    """A run of 101 rows whose learning rate was changed at step 40."""
    run = recording.begin()
    rows = [step._replace(lr=0.01 if step.step < 40 else 0.02) for step in published_like_rows(run, 101)]
    recording.steps(run, rows[:40])
    recording.set_lr(run, 40, 0.01, 0.02)
    recording.steps(run, rows[40:])
    recording.end(run, 100, Status.FINISHED)
    return run


async def replay(user: User, last: int = 100) -> None:
    """Replay the selected run; it plays, and the clock stands still."""
    await expect_shown(user, f"step {last} of")
    await user.press("R")
    await expect_shown(user, "▶ playing 1×", f"step 0/{last}")


def shown_steps(user: User) -> list[int]:
    """Steps of the rows in the table."""
    matches = (re.match(r"[ │]*(\d+) +-?\d+\.\d{4} ", line) for line in lines(user))
    return [int(match[1]) for match in matches if match]


async def test_header_chart_table_events_and_bar_move_together(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    run = finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        for seconds, step, lr, is_changed in ((3.0, 30, "0.01", False), (1.5, 45, "0.02", True)):
            clock.now_s += seconds
            await expect_shown(user, f"step {step} of 100", f"step {step}/100", f"lr {lr}")
            assert f"loss {loss_text(row(run, step).loss)}" in text(user)
            assert shown_steps(user)[-1] == step
            assert ("lr 0.01 → 0.02" in text(user)) == is_changed
            assert user.app.screen.query_one(ChartStrip)._curves.last_step == step
            assert "● running" in lines(user)[0]
            bar = next(line for line in lines(user) if "●─" in line)
            assert abs(bar.strip().index("●") / (len(bar.strip()) - 1) - step / 100) < 0.01
        await user.press("comma", "g", *"12", "enter")
        await expect_shown(user, "step 12 of 100", "step 12/100", "lr 0.01", "✓ match, first at step 10")
        assert shown_steps(user) == list(range(13))
        assert "lr 0.01 → 0.02" not in text(user)
        await user.press("g", "5", "enter")
        await expect_shown(user, "step 5 of 100", "no match yet")
        await user.press("end")
        await expect_shown(user, "■ finished", "step 100 of 100", "■ at the end", "── finished")


async def test_paused_nothing_is_painted_however_much_time_passes(
    database: Path, recording: Recording, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 50))
    async with opened(database, clock=clock) as user:
        await replay(user, 49)
        clock.now_s += 2.0
        await expect_shown(user, "step 20/49")
        await user.press("space")
        await expect_shown(user, "■ paused 1×")
        painted: list[object] = []
        await expect(user, lambda: not user.app.screen._dirty_widgets)  # the key's own paint is done
        monkeypatch.setattr(user.app, "_display", lambda *update: painted.append(update))
        clock.now_s += 60.0
        recording.steps(run, published_like_rows(run, 60)[50:])
        live = user.app.screen_stack[0].query_one("#header", Widget)
        await expect(user, lambda: "step 59 of 100" in str(live.render()))
        assert painted == []
        assert "step 20/49" in text(user)


async def test_rows_that_come_later_are_there_after_the_replay_and_not_in_it(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    async with opened(database, clock=clock) as user:
        await replay(user, 24)
        recording.steps(run, published_like_rows(run, 40)[25:])
        live = user.app.screen_stack[0].query_one("#header", Widget)
        await expect(user, lambda: "step 39 of 100" in str(live.render()))
        await user.press("end")
        await expect_shown(user, "step 24/24", "step 24 of 100", "■ at the end")
        assert shown_steps(user)[-1] == 24
        await user.press("escape")
        await expect_shown(user, "step 39 of 100", "● running")


@pytest.mark.parametrize("key", ["s", "r", "f", "e", "L", "w", "b", "n", "p", "o"])
async def test_what_steers_a_run_says_why_it_does_not_now(
    database: Path, recording: Recording, clock: HandClock, control: RecordingControl, key: str
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    async with opened(database, control, clock=clock) as user:
        await replay(user, 24)
        await user.press(key)
        await expect_shown(user, f"run {run}: cannot be steered in a replay; esc goes back")
        assert (control.requested, control.queued) == ([], [])


async def test_an_opened_row_knows_nothing_of_later_ones(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        clock.now_s += 2.5
        await expect_shown(user, "step 25/100")
        await user.press("enter")
        await expect_shown(user, "step 25 of 100", "of step 20, the last decoded one")
        clock.now_s += 5.0
        await user.press("right")
        await expect_shown(user, "This is the last row")
        await user.press("left", "escape")
        await expect_shown(user, "■ paused 1×", "step 25/100")
        assert shown_steps(user)[-1] == 25


async def test_the_bar_is_clicked_and_dragged(database: Path, recording: Recording, clock: HandClock) -> None:
    finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        width = user.app.screen.query_one(Scrubber).content_size.width
        await user.click("#scrubber", offset=(1 + round(0.6 * (width - 1)), 0))
        await expect_shown(user, "step 60/100", "▶ playing")
        await user.mouse_down("#scrubber", offset=(1 + round(0.6 * (width - 1)), 0))
        await user.hover("#scrubber", offset=(1 + round(0.3 * (width - 1)), 0))
        await expect_shown(user, "step 30/100", "■ paused")
        clock.now_s += 9.0
        await user.hover("#table", offset=(1, 1))
        await expect_shown(user, "step 0/100", "■ paused")
        await user.mouse_up("#table", offset=(1, 1))
        await expect_shown(user, "▶ playing")
        clock.now_s += 1.0
        await expect_shown(user, "step 10/100")


async def test_a_chart_and_the_keys_for_the_strip_show_the_replay(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        clock.now_s += 2.0
        await expect_shown(user, "step 20/100")
        await user.press("c", "c")
        await expect(user, lambda: any(line.startswith(" " * 7 + "sim") for line in lines(user)))
        await user.press("C")
        await expect_shown(user, "REPLAY today/1", "sim, 21 rows")
        await user.press("escape", "t")
        await expect_shown(user, "Theme light", "step 20/100")


async def test_the_full_screen_chart_plays_along_and_the_keys_of_the_replay_work_in_it(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    finished(recording)
    async with opened(database, size=SMALL, clock=clock) as user:
        await replay(user)
        await user.press("C")
        await expect_shown(user, "REPLAY today/1  loss, 1 row", " REPLAY  ▶ playing 1×", "step 0/100")
        clock.now_s += 2.0
        await expect_shown(user, ", 21 rows", "step 20/100")  # it goes on under the chart
        first = curve_columns(user)
        await user.press("space")
        await expect_shown(user, "■ paused 1×")
        clock.now_s += 5.0
        await user.press("full_stop", "right")
        await expect_shown(user, ", 23 rows", "step 22/100")
        await user.press("comma")
        await expect_shown(user, ", 22 rows", "step 21/100")
        await user.press("plus", "space")
        await expect_shown(user, "▶ playing 2×")
        clock.now_s += 1.0
        await expect_shown(user, ", 42 rows", "step 41/100")
        assert len(curve_columns(user)) > 1.5 * len(first)
        assert max(curve_columns(user)) < 50  # the axis goes up to the last row
        assert min(curve_columns(user)) == min(first)
        await user.press("escape")
        await expect_shown(user, "step 41/100", "▶ playing 2×", "esc live")  # where it was, and going on
        clock.now_s += 0.5
        await expect_shown(user, "step 51/100")


async def test_what_covers_the_full_screen_chart_of_a_replay_stops_it(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        await user.press("C")
        await expect_shown(user, "loss, 1 row")
        await user.press("g")
        await expect_shown(user, "replay from a step")
        clock.now_s += 5.0
        await user.press("5", "5", "enter")
        await expect_shown(user, ", 56 rows", "■ paused 1×", "step 55/100")
        await user.press("left_curly_bracket")
        await expect_shown(user, "step 40/100")
        await user.press("c", "c")
        await expect_shown(user, "sim, 41 rows")
        await user.press("end")
        await expect_shown(user, "sim, 101 rows", "■ at the end", "step 100/100")
        await user.click("#scrubber", offset=(1, 0))
        await expect_shown(user, "sim, 1 row", "step 0/100")
        await user.press("q")
        await expect_shown(user, "■ paused 1×", "step 0/100", "esc live")


def curve_columns(user: User) -> list[int]:
    """Columns of the screen in which the curve of the full-screen chart is."""
    shown = lines(user)[1:-4]
    return sorted({at for line in shown for at, sign in enumerate(line) if "\u2800" < sign <= "\u28ff"})


async def test_moving_up_in_the_table_stays_there_until_a_jump(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        clock.now_s += 5.0
        await expect_shown(user, "step 50/100")
        await user.press("pageup", "pageup", "pageup")
        clock.now_s += 1.0
        await expect_shown(user, "step 60/100", "10 new ↓")
        assert shown_steps(user)[0] == 0
        await user.press("right_square_bracket")
        await expect_shown(user, "No later change")
        await user.press("full_stop")
        await expect_shown(user, "step 61/100")
        assert shown_steps(user)[-1] == 61


async def test_folded_rows_grow_and_shrink_with_the_replay(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        await user.press("z", "end")
        await expect_shown(user, "step 100/100")
        ends = [line for line in lines(user) if re.search(r"×|–", line) and "loss" not in line]
        assert ends
        await user.press("home")
        await expect_shown(user, "step 0/100")
        assert shown_steps(user) == [0]
        assert user.app.screen.query_one(TrajectoryTable).virtual_size.height == 3  # header, started, step 0
        await user.press("end", "comma", "z")
        await expect_shown(user, "step 99/100")
        assert shown_steps(user)[-1] == 99


@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE], ids=["80x24", "120x40", "160x48"])
@pytest.mark.parametrize("ascii_only", [False, True], ids=["signs", "ascii"])
async def test_it_says_that_it_is_a_replay_in_every_theme_and_in_ascii(
    database: Path, recording: Recording, clock: HandClock, size: tuple[int, int], ascii_only: bool
) -> None:
    finished(recording)
    async with opened(database, clock=clock, size=size, settings=Settings(ascii=ascii_only)) as user:
        await expect_shown(user, "step 100 of")
        await user.press("R")
        await expect_shown(user, "playing 1", "step 0/100")
        for theme in THEMES:
            user.app.theme = theme.name
            await user.pause()
            assert lines(user)[0].count(" REPLAY ") == 1
            assert lines(user)[-2].startswith("  REPLAY ")
            assert text(user).isascii() == ascii_only
            assert all(len(line) == size[0] for line in lines(user))


async def test_hostile_texts_are_replayed_in_their_cells(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    run = recording.begin(target="[red]x[/red] \x1b[31m\u202etxt.exe 日本語 👩‍👩‍👧")
    recording.steps(
        run,
        [row(run, step, decoded_prediction=words, match=False) for step, words in enumerate(HOSTILE)],
    )
    async with opened(database, clock=clock, size=SMALL) as user:
        await expect_shown(user, "step 6 of 100")
        await user.press("R")
        await expect_shown(user, "step 0/6")
        for _ in HOSTILE:
            await user.press("full_stop")
            await user.pause()
            assert not re.search(r"[\x00-\x1f\x7f\u202e\u2066\u200b\ufeff]", "".join(lines(user)))
        await expect_shown(user, "step 6/6")


async def test_a_published_table_is_replayed_row_by_row(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    run = recording.begin()
    steps = [*range(0, 100, 10), 99]
    recording.steps(
        run,
        [
            row(run, step, lr=None, elapsed_ms=None, decoded_prediction=PUBLISHED_TARGET, match=step > 0)
            for step in steps
        ],
    )
    recording.end(run, 99, Status.FINISHED)
    recording.set_origin(run, "published")
    async with opened(database, clock=clock) as user:
        await expect_shown(user, "■ published")
        await user.press("R")
        await expect_shown(user, "▶ playing 1×", "step 0/99")
        clock.now_s += 3.5
        await expect_shown(user, "step 30/99")
        assert shown_steps(user) == [0, 10, 20, 30]
        await user.press("minus", "minus", "minus")
        await expect_shown(user, "This is the lowest speed", "¼×")
        await user.press("g", *"55", "enter")
        await expect_shown(user, "step 50/99")


async def test_a_run_without_rows_cannot_be_replayed(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    run = recording.queue()
    async with opened(database, clock=clock) as user:
        await expect_shown(user, "○ queued")
        await user.press("R")
        await expect_shown(user, f"run {run}: has no rows yet: there is nothing to replay")
        assert "REPLAY" not in text(user)


async def test_without_any_run_the_key_says_so(database: Path, clock: HandClock) -> None:
    async with opened(database, clock=clock) as user:
        await expect_shown(user, "No runs yet")
        await user.press("R")
        await expect_shown(user, "There is no run yet")


async def test_the_terminal_may_change_its_size_during_a_replay(
    database: Path, recording: Recording, clock: HandClock
) -> None:
    finished(recording)
    async with opened(database, clock=clock) as user:
        await replay(user)
        clock.now_s += 4.2
        await expect_shown(user, "step 42/100")
        await user.resize_terminal(*SMALL)
        await expect(user, lambda: len(lines(user)) == 24 and "step 42/100" in text(user))
        assert shown_steps(user)[-1] == 42
        await user.press("escape")
        await expect_shown(user, "■ finished", "1 run", "step 100 of 100")
        assert user.app.screen.has_class("-narrow", "-short")
        assert all(len(line) == 80 for line in lines(user))


async def test_a_replay_that_was_asked_for_at_the_start_goes_back_to_its_run(
    database: Path, recording: Recording, clock: HandClock, control: RecordingControl
) -> None:
    first = finished(recording)
    second = recording.begin()
    recording.steps(second, published_like_rows(second, 12))
    request = ReplayRequest(first, 55, Speed.X20)
    app = ExplorerApp(database, load_control=lambda: control, clock=clock, replay=request)
    async with app.run_test(size=MEDIUM) as user:
        await expect_shown(user, "REPLAY", "▶ playing 20×", "step 55/100")
        clock.now_s += 0.1
        await expect_shown(user, "step 75/100")
        await user.press("escape")
        await expect_shown(user, f"run {first}  today/1", "■ finished")


async def test_a_run_that_is_gone_says_so(database: Path, recording: Recording, clock: HandClock) -> None:
    finished(recording)
    app = ExplorerApp(database, clock=clock, replay=ReplayRequest(7))
    async with app.run_test(size=MEDIUM) as user:
        await expect_shown(user, "This run cannot be replayed", "run: there is no run 7 in")
        await user.press("space", "full_stop", "end", "g", "C", "plus", "right_square_bracket", "enter")
        await user.press("escape")
        await expect_shown(user, "■ finished")


async def test_the_keys_are_those_that_the_user_has_set(
    database: Path, recording: Recording, clock: HandClock, control: RecordingControl
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    keys = {"replay.play": "x", "replay.close": "f8", "stop": "f7"}
    async with opened(database, control, clock=clock, settings=Settings(keys=keys)) as user:
        await replay(user, 24)
        await user.press("x")
        await expect_shown(user, "■ paused", "x play", "f8 live")
        await user.press("f7")
        await expect_shown(user, "cannot be steered in a replay; f8 goes back")
        await user.press("f8")
        await expect(user, lambda: "REPLAY" not in text(user))
        assert control.requested == []
