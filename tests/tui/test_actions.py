"""What each action of the registry does, as a user sees it."""

import re
from functools import partial
from pathlib import Path

import pytest

from engine.spec import RunSpec
from engine.store.records import Status
from tests.tui import (  # noqa: F401  # they register their behaviours
    actions_application,
    actions_compare,
    actions_export,
    actions_form,
    actions_gap,
    actions_replay,
    actions_rows,
    actions_runs,
    actions_sessions,
    actions_steering,
    actions_vectors,
    actions_verify,
)
from tests.tui.behaviours import BEHAVIOURS, Behaviour, behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import (
    MEDIUM,
    SMALL,
    User,
    expect,
    expect_shown,
    lines,
    opened,
    runs_of,
    table_of,
    text,
)
from tui.actions import ACTIONS, Action, Place, at
from tui.widgets.action_bar import fitting


def test_every_action_has_a_behaviour_test() -> None:
    assert set(BEHAVIOURS) == {(action.place, action.name) for action in ACTIONS}


@behaviour(Place.EXPLORER, "new_run")
async def _new_run_opens_the_form_and_enter_starts_the_published_run(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("n")
    await expect_shown(user, "New run", "I like cheese.", "learning rate")
    await user.press("enter")
    await expect(user, lambda: control.queued)
    assert control.queued == [(RunSpec(), None, None)]
    await expect_shown(user, "today/4", "○ queued")


@behaviour(Place.EXPLORER, "run_published")
async def _published_run_is_queued_by_one_key_and_selected(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("p")
    await expect_shown(user, "today/4", "○ queued")
    assert control.queued == [(RunSpec(), None, None)]


@behaviour(Place.EXPLORER, "toggle_pause")
async def _space_pauses_and_space_again_goes_on(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("space")
    await expect_shown(user, "pending: pause")
    await user.press("space")
    await expect_shown(user, "pending: pause, resume")
    await expect(user, lambda: len(control.requested) == 2)
    assert control.requested == [(3, "pause", {}), (3, "resume", {})]


@behaviour(Place.EXPLORER, "raise_lr", "lower_lr")
async def _presses_build_on_the_learning_rate_that_is_pending(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("plus", "plus", "minus", "minus", "minus")
    await expect(user, lambda: len(control.requested) == 5)
    assert [arguments["lr"] for _, _, arguments in control.requested] == [
        0.0125,
        0.015625,
        0.0125,
        0.01,
        0.008,
    ]
    await expect_shown(user, "pending: lr 0.0125, lr 0.01562, lr 0.0125, lr 0.01, lr 0.008")


@behaviour(Place.EXPLORER, "stop")
async def _stop_asks_first(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("s")
    await expect_shown(user, "Stop run today/3 at step 24 of 100?")
    assert control.requested == []


@behaviour(Place.QUESTION, "confirm")
async def _yes_stops_the_run(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("s")
    await expect_shown(user, "Stop run")
    await user.press("y")
    await expect_shown(user, "pending: stop")
    assert control.requested == [(3, "stop", {})]


@behaviour(Place.QUESTION, "decline")
async def _no_lets_it_go_on(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("s")
    await expect_shown(user, "Stop run")
    await user.press("n")
    await expect(user, lambda: "Stop run" not in text(user))
    assert control.requested == []


@behaviour(Place.EXPLORER, "resume")
async def _r_resumes_a_run_that_has_ended(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("down")
    await expect_shown(user, "□ stopped", "r goes on")
    await user.press("r")
    await expect_shown(user, "pending: resume")
    assert control.requested == [(2, "resume", {})]


@behaviour(Place.EXPLORER, "toggle_runs")
async def _the_list_can_be_hidden(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("l")
    await expect(user, lambda: "3 runs, newest first" not in text(user))
    assert table_of(user).has_focus
    await user.press("l")
    await expect_shown(user, "3 runs, newest first")
    assert runs_of(user).has_focus


@behaviour(Place.EXPLORER, "next_pane")
async def _tab_moves_between_the_panes(user: User, control: RecordingControl, recording: Recording) -> None:
    assert runs_of(user).has_focus
    await user.press("tab")
    assert table_of(user).has_focus
    await user.press("tab")
    assert runs_of(user).has_focus


@behaviour(Place.EXPLORER, "palette")
async def _the_palette_finds_actions_of_the_registry(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("ctrl+p")
    offered = sorted(action.label.capitalize() for action in at(Place.EXPLORER) if action.name != "palette")
    await expect_shown(user, *offered[:8])
    await user.press(*"published", "enter")
    await expect(user, lambda: control.queued)
    assert control.queued == [(RunSpec(), None, None)]
    await user.press("ctrl+p", *"table: first row")
    await expect_shown(user, "Go to the first row  (home)")
    await user.press("enter")
    await expect(user, lambda: table_of(user).has_focus)


@behaviour(Place.EXPLORER, "help")
async def _the_help_is_made_from_the_registry(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("question_mark")
    await expect_shown(user, Place.EXPLORER)
    seen = shown = text(user)
    while not all(action.help in seen for action in at(Place.EXPLORER)):
        await user.press("pagedown")
        await expect(user, partial(is_other, user, shown))
        shown = text(user)
        seen += shown


def is_other(user: User, shown: str) -> bool:
    """Whether something else than this stands on the screen."""
    return text(user) != shown


@behaviour(Place.HELP, "close")
async def _escape_closes_the_help(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("question_mark")
    await expect_shown(user, Place.EXPLORER)
    await user.press("escape")
    await expect(user, lambda: Place.EXPLORER not in text(user))


@behaviour(Place.EXPLORER, "leave")
async def _leaving_asks_nothing_of_the_run(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("q")
    await expect(user, lambda: not user.app.is_running)
    assert control.requested == []


@behaviour(Place.RUNS, "previous_run", "next_run")
async def _up_and_down_select_a_run(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("down")
    await expect_shown(user, "□ stopped")
    await user.press("down", "down")
    await expect_shown(user, "■ finished")
    await user.press("up", "up")
    await expect_shown(user, "● running")


@behaviour(Place.RUNS, "newest_run", "oldest_run")
async def _end_and_home_select_the_last_and_the_first_run(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("end")
    await expect_shown(user, "■ finished")
    await user.press("home")
    await expect_shown(user, "● running")


@behaviour(Place.RUNS, "open_run")
@behaviour(Place.TABLE, "to_runs")
async def _enter_goes_to_the_table_and_escape_back(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("enter")
    await expect(user, lambda: table_of(user).has_focus)
    await user.press("escape")
    await expect(user, lambda: runs_of(user).has_focus)


@behaviour(Place.TABLE, "row_up", "row_down", "last_row")
async def _moving_up_stops_following_and_end_follows_again(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("tab", "up", "up", "down")
    assert not table_of(user).follows
    recording.steps(3, [row(3, step) for step in range(25, 65)])
    await expect_shown(user, "40 new ↓")
    assert not _shows_step(user, 64)
    recording.steps(3, [row(3, 65)])
    await expect_shown(user, "41 new ↓")
    await user.press("end")
    await expect(user, lambda: _shows_step(user, 65))
    assert "new ↓" not in text(user)
    recording.steps(3, [row(3, 66)])
    await expect(user, lambda: _shows_step(user, 66))


@behaviour(Place.TABLE, "page_up", "page_down", "first_row")
async def _pages_move_through_a_long_trajectory(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.steps(3, [row(3, step) for step in range(25, 101)])
    await expect(user, lambda: _shows_step(user, 100))
    await user.press("tab", "home")
    await expect(user, lambda: _shows_step(user, 0) and not _shows_step(user, 100))
    await user.press("pagedown", "pagedown")
    await expect(user, lambda: not _shows_step(user, 0))
    await user.press("pageup", "pageup")
    await expect(user, lambda: _shows_step(user, 0))
    await user.press("pagedown", "pagedown", "pagedown", "pagedown", "pagedown")
    await expect(user, lambda: _shows_step(user, 100))
    assert table_of(user).follows


@pytest.mark.parametrize("shows", dict.fromkeys(BEHAVIOURS.values()), ids=lambda shows: shows.__name__)
async def test_behaviour(
    shows: Behaviour, database: Path, control: RecordingControl, recording: Recording
) -> None:
    first = recording.begin()
    recording.steps(first, published_like_rows(first, 101))
    recording.end(first, 100, Status.FINISHED)
    second = recording.begin()
    recording.steps(second, published_like_rows(second, 12))
    recording.end(second, 11, Status.STOPPED)
    third = recording.begin()
    recording.steps(third, published_like_rows(third, 25))
    async with opened(database, control) as user:
        await expect(user, lambda: "● running" in text(user) and _shows_step(user, 24))
        await shows(user, control, recording)


@pytest.mark.parametrize("width", [20, 40, 78, 120, 200])
def test_the_footer_keeps_help_and_leaving_at_every_width(width: int) -> None:
    shown = fitting([action for action in ACTIONS if action.footer], width)
    assert {"help", "leave"} <= {action.name for action in shown}
    assert len("  ".join(action.footer for action in shown)) <= max(width, len("? help  q leave"))


async def test_the_footer_names_the_keys(database: Path, control: RecordingControl) -> None:
    for size, keys in (
        (SMALL, "n new  p published  space pause  +/- lr  s stop  r resume  ? help  q leave"),
        (
            MEDIUM,
            "n new  p published  space pause  +/- lr  s stop  r resume  R replay  F fork  B sessions"
            "  l list  ? help  q leave",
        ),
    ):
        async with opened(database, control, size=size) as user:
            await expect_shown(user, "No runs yet")
            assert lines(user)[-1].strip() == keys


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.place.name}-{action.name}")
def test_an_entry_is_complete_and_its_keys_are_its_own(action: Action) -> None:
    assert action.label
    assert action.help[0].isupper()
    others = [other for other in at(action.place) if other is not action]
    taken = {key for other in others for key in other.keys.split(",")}
    assert not taken & set(action.keys.split(","))
    if action.footer:
        assert action.footer.partition(" ")[0].startswith(action.shown_key[0])


def _shows_step(user: User, step: int) -> bool:
    return any(re.search(rf"(^|\s){step}\s+\d+\.\d{{4}}\s", line) for line in lines(user))
