"""What the actions that steer the selected run do, as a user sees it."""

from engine.store.records import Status
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording
from tests.tui.screen import User, expect, expect_shown, lines, text
from tui.actions import Place
from tui.app import ExplorerApp


@behaviour(Place.EXPLORER, "step")
async def _a_dot_makes_one_step(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("full_stop", "full_stop")
    await expect_shown(user, "pending: 1 step, 1 step")
    await expect(user, lambda: len(control.requested) == 2)
    assert control.requested == [(3, "resume", {"steps": 1})] * 2


@behaviour(Place.EXPLORER, "run_more")
@behaviour(Place.DIALOG, "accept")
async def _some_steps_are_asked_for_and_proposed_the_next_time(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("f")
    await expect_shown(user, "today/3: some steps, then pause", "step 24 of 100 is reached")
    await user.press("5", "enter")
    await expect_shown(user, "pending: 5 steps")
    await expect(user, lambda: control.requested == [(3, "resume", {"steps": 5})])
    await user.press("f")
    await expect_shown(user, "some steps, then pause")
    await user.press("enter")
    await expect(user, lambda: control.requested == [(3, "resume", {"steps": 5})] * 2)


@behaviour(Place.EXPLORER, "run_to")
async def _a_step_that_has_been_passed_is_named_before_it_is_asked_for(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("g")
    await expect_shown(user, "today/3: on to a step, then pause")
    await user.press("2", "4")
    await expect_shown(user, "until: 24: the run is at step 24 already")
    await user.press("enter")
    assert "on to a step" in text(user)
    assert control.requested == []
    await user.press("backspace", "backspace", "5", "0")
    await expect_shown(user, "pauses when the row of step 50 is there")
    await user.press("enter")
    await expect_shown(user, "pending: on to step 50")
    await expect(user, lambda: control.requested == [(3, "resume", {"until": 50})])


@behaviour(Place.EXPLORER, "extend")
async def _a_finished_run_can_be_extended(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("end")
    await expect_shown(user, "■ finished")
    await user.press("full_stop")
    await expect_shown(user, "has finished its 100 steps; e adds some")
    await user.press("e")
    await expect_shown(user, "more steps than it was asked for")
    await user.press("5", "0")
    await expect_shown(user, "100 → 150 steps")
    await user.press("enter")
    await expect_shown(user, "pending: 50 steps more")
    await expect(user, lambda: control.requested == [(1, "extend", {"steps": 50})])


@behaviour(Place.EXPLORER, "set_lr")
@behaviour(Place.DIALOG, "close")
async def _the_learning_rate_is_set_to_a_value_and_its_changes_are_shown(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.set_lr(3, 25, 0.01, 0.02)
    recording.set_lr(3, 25, 0.02, 0.015)
    await expect_shown(user, "0.02 → 0.015")
    await user.press("L")
    await expect_shown(user, "today/3: learning rate", "in force 0.015", "last changes")
    newest, oldest = (
        next(index for index, line in enumerate(lines(user)) if change in line and "step 25" in line)
        for change in ("0.02 → 0.015 ", "0.01 → 0.02 ")
    )
    assert newest == oldest - 1
    await user.press("minus", "1")
    await expect_shown(user, "lr: -1: a learning rate is above 0 and at most 1000")
    await user.press("escape")
    await expect(user, lambda: "today/3: learning rate" not in text(user))
    assert control.requested == []
    await user.press("L")
    await expect_shown(user, "today/3: learning rate")
    await user.press(*"0", "full_stop", *"005")
    await expect_shown(user, "0.015 → 0.005")
    await user.press("enter")
    await expect_shown(user, "pending: lr 0.005")
    await expect(user, lambda: control.requested == [(3, "set", {"lr": 0.005})])


@behaviour(Place.EXPLORER, "set_weights")
@behaviour(Place.DIALOG, "move_up", "move_down")
async def _only_weights_that_differ_are_asked_for(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("w")
    await expect_shown(user, "weights of the loss terms", "in force 1; decoder cross-entropy")
    await user.press("0")
    await expect_shown(user, "at least one loss term needs a weight above 0")
    await user.press("backspace", "1", "down", "down", "up", "0", "full_stop", "1")
    await expect_shown(user, "cosine 0 → 0.1")
    await user.press("enter")
    await expect_shown(user, "pending: weight of cosine 0.1")
    await expect(user, lambda: control.requested == [(3, "set", {"weights": {"cosine": 0.1}})])
    await user.press("w")
    await expect_shown(user, "weights of the loss terms")
    await user.press("down", "0", "enter")
    await expect(user, lambda: control.requested[1:] == [(3, "set", {"weights": {"cosine": 0}})])


@behaviour(Place.EXPLORER, "break_points")
async def _a_break_point_is_checked_while_it_is_typed(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("b")
    await expect_shown(user, "today/3: break-points", "None is set", "not-finite", "similarity>0.9")
    await user.press(*"loss")
    await expect_shown(user, "break-point: 'loss': allowed are changed, match, not-finite")
    await user.press("less_than_sign", "0", "full_stop", "2", "0")
    await expect_shown(user, "pauses when loss<0.2 comes true")
    await user.press("enter")
    await expect_shown(user, "pending: break on loss<0.2")
    await expect(user, lambda: control.requested == [(3, "break", {"when": "loss<0.2"})])


@behaviour(Place.BREAK_POINTS, "remove")
async def _the_marked_break_point_is_removed(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.set_break_points(3, 25, "match", "loss<0.2")
    await expect_shown(user, "breaks: match, loss<0.2")
    await user.press("b")
    await expect_shown(user, "› match", "  loss<0.2")
    await user.press("down")
    await expect_shown(user, "  match", "› loss<0.2")
    await user.press("ctrl+r")
    await expect_shown(user, "pending: no break on loss<0.2")
    await expect(user, lambda: control.requested == [(3, "unbreak", {"when": "loss<0.2"})])


@behaviour(Place.EXPLORER, "log")
@behaviour(Place.LOG, "other_part", "close")
async def _the_log_shows_events_and_the_file_of_the_worker(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    log = recording.path.with_suffix(".log")
    log.write_text("loading mini\n")
    recording.set_lr(3, 25, 0.01, 0.005)
    await user.press("o")
    await expect_shown(user, "today/3", "events", "log of the worker of cpu", "step 25", "lr 0.01 → 0.005")
    recording.pause(3, 25)
    await expect_shown(user, "paused", "◆ paused")
    assert "loading mini" not in text(user)
    await user.press("tab")
    await expect_shown(user, "loading mini")
    with log.open("a") as file:
        file.write("written later\n")
    await expect_shown(user, "written later")
    await user.press("tab")
    await expect(user, lambda: "loading mini" not in text(user))
    await user.press("escape")
    await expect(user, lambda: "log of the worker" not in text(user))


@behaviour(Place.LOG, "line_up", "line_down", "page_up", "page_down", "first_line", "last_line")
async def _the_log_follows_its_end_until_one_moves_up(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    log = recording.path.with_suffix(".log")
    log.write_text("".join(f"line {number}.\n" for number in range(200)))
    await user.press("o", "tab")
    await expect_shown(user, "line 199.")
    await user.press("up")
    await expect(user, lambda: "line 199." not in text(user))
    await user.press("down")
    await expect_shown(user, "line 199.")
    await user.press("pageup")
    await expect(user, lambda: "line 199." not in text(user))
    with log.open("a") as file:
        file.write("line 200.\nline 201.\n")
    await expect_shown(user, "2 new ↓")
    assert "line 201." not in text(user)
    await user.press("home")
    await expect_shown(user, "line 0.")
    await user.press("pagedown")
    await expect(user, lambda: "line 0." not in text(user))
    await user.press("end")
    await expect_shown(user, "line 201.")
    with log.open("a") as file:
        file.write("line 202.\n")
    await expect_shown(user, "line 202.")


@behaviour(Place.LOG, "try_again")
async def _a_failed_run_is_tried_again_from_the_log(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    reason = "RuntimeError: no room; the whole error is in the worker's log"
    recording.path.with_suffix(".log").write_text(
        "2026-01-02 03:04:05 [77] run 3: started at step 0\n"
        "Traceback (most recent call last):\n"
        '  File "engine/optimizer.py", line 7, in advance\n'
        "RuntimeError: no room\n"
        f"2026-01-02 03:04:06 [77] run 3: failed: {reason}\n"
    )
    await user.press("o")
    await expect_shown(user, "● running")
    await user.press("r")
    await expect_shown(user, "run 3: is running")
    recording.end(3, 24, Status.FAILED, reason)
    await expect_shown(user, f"failed at step 24: {reason}", "line 7, in advance", "r tries again")
    await user.press("r")
    await expect_shown(user, "pending: resume")
    await expect(user, lambda: control.requested == [(3, "resume", {})])


@behaviour(Place.EXPLORER, "leave_and_stop")
async def _leaving_with_the_worker_asks_first(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("Q")
    await expect_shown(user, "Leave and stop the worker? Run 3 pauses where it is")
    await user.press("n")
    await expect(user, lambda: "Leave and stop" not in text(user))
    assert control.stopped_workers == []
    await user.press("Q")
    await expect_shown(user, "Leave and stop the worker?")
    await user.press("y")
    await expect(user, lambda: not user.app.is_running)
    assert control.stopped_workers == ["cpu"]
    assert isinstance(user.app, ExplorerApp)
    assert user.app.farewell.startswith("The worker of cpu was asked to leave; run 3 pauses. Come back: ")
