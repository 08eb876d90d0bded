"""What the actions of a replay do, as a user sees it."""

from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import User, expect, expect_shown, table_of, text
from tui.actions import Place


async def _at_its_start(user: User, last: int = 24) -> None:
    """Replay the selected run, and pause at its first row."""
    await user.press("R")
    await expect_shown(user, "REPLAY", f"/{last}")  # it plays already, and may be anywhere
    await user.press("comma", "home")
    await expect_shown(user, "■ paused 1×", f"step 0/{last}")


@behaviour(Place.EXPLORER, "replay")
async def _the_run_is_played_from_its_start_or_from_the_selected_row(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("R")
    await expect_shown(user, "REPLAY", "▶ playing 1×")
    await expect_shown(user, "■ at the end", "step 24/24")
    await user.press("escape", "tab", "up", "up", "up", "R", "comma")
    await expect_shown(user, "REPLAY", "■ paused 1×")
    assert any(f"step {step}/24" in text(user) for step in range(20, 24))  # it may have played on


@behaviour(Place.REPLAY, "play")
async def _space_plays_and_pauses_and_plays_again_from_the_start(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _at_its_start(user)
    await user.press("space")
    await expect_shown(user, "▶ playing 1×")
    await expect(user, lambda: "step 0/24" not in text(user))
    await user.press("space")
    await expect_shown(user, "■ paused 1×")
    await user.press("end")
    await expect_shown(user, "■ at the end 1×")
    await user.press("space")
    await expect_shown(user, "▶ playing 1×")
    assert control.requested == []


@behaviour(Place.REPLAY, "faster", "slower")
async def _the_speed_goes_up_and_down(user: User, control: RecordingControl, recording: Recording) -> None:
    await _at_its_start(user)
    await user.press("plus", "plus")
    await expect_shown(user, "paused 5×")
    await user.press("minus", "minus", "minus", "minus")
    await expect_shown(user, "paused ¼×")
    await user.press("minus")
    await expect_shown(user, "paused as recorded")
    await user.press("minus")
    await expect_shown(user, "This is the lowest speed")
    assert control.requested == []


@behaviour(Place.REPLAY, "row_after", "row_before")
async def _a_dot_goes_one_row_on_and_a_comma_back(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _at_its_start(user)
    await user.press("full_stop", "right", "full_stop")
    await expect_shown(user, "step 3/24", "step 3 of 100")
    await user.press("comma", "left")
    await expect_shown(user, "step 1/24", "step 1 of 100")
    assert control.requested == []


@behaviour(Place.REPLAY, "next_change", "previous_change")
async def _brackets_go_to_where_the_prediction_changes(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.steps(3, [row(3, 25, decoded_prediction="Another.", match=False)])
    await expect_shown(user, "step 25 of 100")
    await _at_its_start(user, last=25)
    await user.press("right_square_bracket")
    await expect_shown(user, "step 10/25", "✓ match, first at step 10")
    await user.press("right_square_bracket")
    await expect_shown(user, "step 25/25", "matched at step 10, not now")
    await user.press("right_square_bracket")
    await expect_shown(user, "No later change of the prediction")
    await user.press("left_square_bracket")
    await expect_shown(user, "step 10/25")
    await user.press("left_square_bracket")
    await expect_shown(user, "No earlier change of the prediction")


@behaviour(Place.REPLAY, "next_event", "previous_event")
async def _braces_go_to_the_rows_with_which_events_come_into_sight(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.set_lr(3, 25, 0.01, 0.02)
    recording.steps(3, [row(3, step, lr=0.02) for step in (25, 26)])
    await expect_shown(user, "step 26 of 100")
    await _at_its_start(user, last=26)
    assert "lr 0.01 → 0.02" not in text(user)
    await user.press("right_curly_bracket")
    await expect_shown(user, "step 25/26", "lr 0.01 → 0.02")
    await user.press("right_curly_bracket")
    await expect_shown(user, "No later event")
    await user.press("left_curly_bracket")
    await expect_shown(user, "step 0/26", "started")
    assert "lr 0.01 → 0.02" not in text(user)


@behaviour(Place.REPLAY, "go_to_step")
async def _a_step_is_asked_for_and_checked_while_it_is_typed(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _at_its_start(user)
    await user.press("g")
    await expect_shown(user, "replay from a step", "0 to 24")
    await user.press("2", "5")
    await expect_shown(user, "step: 25: run 3 was recorded from step 0 to 24")
    await user.press("enter")
    assert "replay from a step" in text(user)
    await user.press("backspace", "1")
    await expect_shown(user, "shows its row")
    await user.press("enter")
    await expect_shown(user, "step 21/24", "step 21 of 100")
    assert control.requested == []


@behaviour(Place.REPLAY, "first", "last")
async def _end_and_home_go_to_the_last_and_the_first_row(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _at_its_start(user)
    await user.press("end")
    await expect_shown(user, "step 24/24", "■ at the end")
    await user.press("home")
    await expect_shown(user, "step 0/24", "■ paused")


@behaviour(Place.REPLAY, "close")
async def _escape_and_the_key_that_opened_it_go_back_to_the_run_as_it_is(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    for key in ("escape", "R", "q"):
        await _at_its_start(user)
        await user.press(key)
        await expect(user, lambda: "REPLAY" not in text(user))
        await expect_shown(user, "● running", "step 24 of 100")
    assert user.app.is_running
    assert not table_of(user).has_focus
