"""What the actions of the trajectory table and of an opened row do, as a user sees it."""

import json
import re

import numpy as np
from textual.widgets import Input

from engine.export import json_line, step_object
from engine.spec import PUBLISHED_TARGET
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.vectors import pack
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import User, expect, expect_shown, lines, strips, table_of, text
from tui.actions import Place
from tui.widgets.trajectory_table import TrajectoryTable


def marked_words(user: User, tone: str) -> list[str]:
    """What stands on the screen in the style of a component class of the focused widget, line by line."""
    style = user.app.screen.focused.get_component_rich_style(tone, partial=True)  # type: ignore[union-attr]
    return [
        segment.text
        for strip in strips(user)
        for segment in strip
        if segment.style is not None
        and segment.style.bold == style.bold
        and segment.style.underline == style.underline
        and segment.text.strip()
    ]


def cursor_step(user: User) -> int | None:
    table = table_of(user)
    return table._trajectory.step_at(table.cursor)


async def _see_a_step(user: User, step: int) -> None:
    await expect(
        user, lambda: any(re.search(rf"(^|\s){step}\s+\d+\.\d{{4}}\s", line) for line in lines(user))
    )


@behaviour(Place.TABLE, "cycle_difference")
async def _d_marks_words_against_the_row_before_the_target_or_nothing(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    changed = PUBLISHED_TARGET.replace("time", "day")
    recording.steps(3, [row(3, 25, decoded_prediction=changed, decoded_z="(No) One lot is ready.")])
    await _see_a_step(user, 25)
    await user.press("tab")
    await expect_shown(user, "prediction ≠ previous", "z ≠ previous")
    seen = marked_words(user, "table--changed")
    assert "day" in seen
    assert "No" in seen
    assert "Once" not in " ".join(seen[seen.index("day") :])
    recording.steps(3, [row(3, 26, decoded_prediction=changed, decoded_z="x", match=False)])
    await _see_a_step(user, 26)
    assert marked_words(user, "table--changed").count("day") == 1
    await user.press("d")
    await expect_shown(user, "prediction ≠ target", "z ≠ target")
    assert marked_words(user, "table--changed").count("day") == 2
    await user.press("d")
    await expect_shown(user, "prediction, decoded", "z, decoded")
    assert "day" not in marked_words(user, "table--changed")
    await user.press("d")
    await expect_shown(user, "prediction ≠ previous")


@behaviour(Place.TABLE, "toggle_folding")
async def _z_folds_the_same_predictions_and_shows_them_again_in_their_place(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("tab", "up", "up", "up")
    before = text(user)
    assert cursor_step(user) == 21
    await user.press("z")
    await expect_shown(user, "0–9", "I eat cheese every day. ×10", "10–24", "×15", "── started")
    recording.steps(3, [row(3, step) for step in range(25, 30)])
    await expect_shown(user, "10–29", "×20")
    recording.event(3, 30, "paused")
    recording.steps(3, [row(3, 30, decoded_prediction=PUBLISHED_TARGET), row(3, 31)])
    await expect_shown(user, "10–29", "── paused", "30–31", "×2")
    assert table_of(user).new_rows == 8
    await user.press("z")
    await expect_shown(user, "8 new ↓")
    assert cursor_step(user) == 21
    table_lines = [line for line in before.splitlines() if re.search(r"\s2[0-4]\s+\d\.\d{4}", line)]
    shown = text(user)
    assert all(line[32:].strip() in shown for line in table_lines)
    await user.press("z", "home", "down", "z")
    await expect(user, lambda: cursor_step(user) == 9)


@behaviour(Place.TABLE, "next_change", "previous_change")
async def _brackets_jump_between_changes_and_say_when_there_is_none(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.steps(3, [row(3, 25, decoded_prediction="Something else.")])
    await _see_a_step(user, 25)
    await user.press("tab", "home", "right_square_bracket")
    assert cursor_step(user) == 10
    await user.press("right_square_bracket")
    assert cursor_step(user) == 25
    await user.press("right_square_bracket")
    await expect_shown(user, "No later change of the prediction")
    await user.press("left_square_bracket")
    assert cursor_step(user) == 10
    await user.press("left_square_bracket")
    await expect_shown(user, "No earlier change of the prediction")
    assert cursor_step(user) == 10


@behaviour(Place.TABLE, "first_match")
async def _m_goes_to_the_first_match_or_says_that_there_is_none(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("tab", "m")
    assert cursor_step(user) == 10
    fourth = recording.begin(weights={"mse": 1})
    recording.steps(fourth, [row(fourth, 0, decoded_prediction="No.", match=False)])
    await expect_shown(user, "today/4" if "today/4" in text(user) else "● 4")
    await user.press("escape", "home", "tab")
    await expect(user, lambda: table_of(user)._trajectory.run == fourth)
    await user.press("m")
    await expect_shown(user, "No decoded prediction is the target yet")


@behaviour(Place.TABLE, "next_event", "previous_event")
async def _braces_jump_between_events_and_say_when_there_is_none(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.event(3, 25, "lr", "0.01 → 0.02")
    recording.steps(3, [row(3, 25)])
    await expect_shown(user, "lr 0.01 → 0.02")
    await user.press("tab", "home", "right_curly_bracket")
    assert cursor_step(user) == 25
    assert table_of(user).cursor == 26
    await user.press("right_curly_bracket")
    await expect_shown(user, "No later event")
    await user.press("left_curly_bracket")
    assert table_of(user).cursor == 0
    await user.press("left_curly_bracket")
    await expect_shown(user, "No earlier event")


async def _open(user: User, step: int) -> None:
    await user.press("tab")
    table_of(user).go_to_step(step)
    await user.press("enter")
    await expect_shown(user, f"today/3, step {step} of 100")


@behaviour(Place.TABLE, "open_row")
async def _enter_opens_the_row(user: User, control: RecordingControl, recording: Recording) -> None:
    await _open(user, 0)
    await expect_shown(
        user,
        "I eat cheese every day.",
        PUBLISHED_TARGET,
        '"Yeah" is "Yeah" is "Yeah".',
        "cross-entropy of the target's tokens",
        "not recorded with this row",
        "loss 3.6000",
        "ce 3.6000 × 1",
        "similarity 0.050",
        "gradient norm 1.000",
        "|z| 0.207",
        "lr 0.01",
        "time 20.0 ms",
    )
    assert "Once upon a time, there was a little girl named Lily" in marked_words(user, "lines--changed")


@behaviour(Place.ROW, "previous_step", "next_step")
async def _arrows_go_to_the_rows_beside_it(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open(user, 24)
    await user.press("right")
    await expect_shown(user, "This is the last row")
    recording.steps(3, [row(3, 25)])
    await expect(user, lambda: table_of_last_step(user) == 25)
    await user.press("right")
    await expect_shown(user, "today/3, step 25 of 100", "prediction of step 20, the last decoded one")
    await user.press("left", "left")
    await expect_shown(user, "today/3, step 23 of 100")


def table_of_last_step(user: User) -> int | None:
    return user.app.screen_stack[0].query_one("#table", TrajectoryTable)._trajectory.last_step


@behaviour(Place.ROW, "previous_change", "next_change")
async def _brackets_go_to_changes_in_an_opened_row(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open(user, 3)
    await user.press("right_square_bracket")
    await expect_shown(user, "today/3, step 10 of 100  ✓")
    await user.press("right_square_bracket")
    await expect_shown(user, "No later change of the prediction")
    await user.press("left_square_bracket")
    await expect_shown(user, "No earlier change of the prediction")


@behaviour(Place.ROW, "line_up", "line_down", "page_up", "page_down", "first_line", "last_line")
async def _a_long_text_can_be_read_to_its_end(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    words = " ".join(f"word{number}" for number in range(1200))
    recording.steps(3, [row(3, 25, decoded_prediction=words, decoded_z="the end", match=False)])
    await _see_a_step(user, 25)
    await _open(user, 25)
    await expect_shown(user, "word0 ")
    await user.press("down")
    await expect(user, lambda: "prediction" not in lines(user)[1])
    await user.press("up")
    await expect(user, lambda: "prediction" in lines(user)[1])
    await user.press("pagedown")
    await expect(user, lambda: "word0 " not in text(user))
    await user.press("end")
    await expect_shown(user, "word1199", "the end", "time 20.0 ms")
    await user.press("pageup", "home")
    await expect_shown(user, "word0 ")


@behaviour(Place.ROW, "close")
async def _closing_goes_back_to_the_row_that_was_shown(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open(user, 20)
    await user.press("left", "left")
    await expect_shown(user, "today/3, step 18 of 100")
    await user.press("escape")
    await expect_shown(user, "prediction ≠ previous")
    assert cursor_step(user) == 18
    await user.press("end", "enter")
    await expect_shown(user, "today/3, step 24 of 100")
    recording.steps(3, [row(3, 25), row(3, 26)])
    await user.press("escape")
    await _see_a_step(user, 26)
    assert table_of(user).follows


@behaviour(Place.ROW, "copy")
@behaviour(Place.COPY, "copy_prediction", "copy_z", "copy_row")
async def _texts_and_numbers_of_a_row_can_be_copied(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open(user, 20)
    with Reader(recording.path) as reader:
        stored = reader.steps(3, after=19, limit=1)[0]
    for key, copied in (
        ("p", PUBLISHED_TARGET),
        ("z", "(Yes) One lot is ready."),
        ("j", json_line(step_object(stored))),
    ):
        await user.press("c")
        await expect_shown(user, "copy from step 20", "prediction", "z's text", "the row as JSON")
        await user.press(key)
        await expect(user, lambda: "copy from step" not in text(user))
        assert user.app.clipboard == copied
    assert json.loads(user.app.clipboard)["decoded_prediction"] == PUBLISHED_TARGET
    await user.press("left", "c", "p")
    await expect_shown(user, "Step 19 was not decoded")
    assert json.loads(user.app.clipboard)["step"] == 20


@behaviour(Place.COPY, "cancel")
async def _copying_can_be_given_up(user: User, control: RecordingControl, recording: Recording) -> None:
    await _open(user, 20)
    await user.press("c")
    await expect_shown(user, "copy from step 20")
    await user.press("escape")
    await expect(user, lambda: "copy from step" not in text(user))
    assert user.app.clipboard == ""


def _keep_z(recording: Recording, step: int, z: np.ndarray) -> None:
    connection = connect(recording.path)
    connection.execute(
        "INSERT INTO vector (run, step, kind, dimension, data) VALUES (3, ?, 'z', ?, ?)",
        (step, len(z), pack(z)),
    )
    connection.close()


@behaviour(Place.ROW, "export")
@behaviour(Place.EXPORT, "write")
async def _the_z_of_a_row_is_written_to_a_file(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    from safetensors.numpy import load_file

    z = np.linspace(-1, 1, 8, dtype=np.float32)
    _keep_z(recording, 20, z)
    folder = recording.path.parent
    await _open(user, 20)
    await user.press("x")
    await expect_shown(user, "write z of step 20 to a file", "run-3-step-20-z.npy")
    path = user.app.screen.query_one("#path", Input)
    path.value = str(folder / "z.txt")
    await user.press("enter")
    await expect_shown(user, "should end in one of .npy, .safetensors")
    for name in ("z.npy", "z.safetensors"):
        path.value = str(folder / name)
        await user.press("enter")
        await expect(user, lambda: "write z of step" not in text(user))
        await user.press("x")
        await expect_shown(user, "write z of step 20 to a file")
        path = user.app.screen.query_one("#path", Input)
    path.value = str(folder / "z.npy")
    await user.press("enter")
    await expect_shown(user, "there already; give another name")
    assert np.array_equal(np.load(folder / "z.npy", allow_pickle=False), z)
    assert np.array_equal(load_file(folder / "z.safetensors")["z"], z)


@behaviour(Place.EXPORT, "cancel")
async def _writing_can_be_given_up(user: User, control: RecordingControl, recording: Recording) -> None:
    await _open(user, 20)
    await user.press("x")
    await expect_shown(user, "write z of step 20 to a file")
    await user.press("escape")
    await expect(user, lambda: "write z of step" not in text(user))
    assert not list(recording.path.parent.glob("*.npy"))
