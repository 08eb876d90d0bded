"""What the gap view and its keys do, as a user sees it."""

from engine.spec import PUBLISHED_TARGET
from engine.store.records import StepRecord
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import User, expect, expect_shown, lines, text
from tui.actions import Place


def measured(
    run: int, step: int, z: str, prediction: str, reread: str, trip: float
) -> tuple[StepRecord, str]:
    """A decoded row with what is measured of it, and what is predicted from its text."""
    is_match = prediction == PUBLISHED_TARGET
    measures = {"round_trip": trip, "reread_ce": 6.25, "word_error_rate": 0.5}
    values = {"decoded_z": z, "decoded_prediction": prediction, "match": is_match, "measures": measures}
    return row(run, step, **values), reread


def record_measured(recording: Recording, run: int, steps: range, text_of_z: str = "z {}") -> None:
    """Record measured rows, each of which says something else."""
    for step in steps:
        made, reread = measured(run, step, text_of_z.format(step), PUBLISHED_TARGET, "He ran.", 0.12)
        recording.measured_step(made, reread)


async def gap_of_newest(user: User, recording: Recording) -> None:
    """Open the gap view of the newest run, of which rows 25 … 44 are measured."""
    record_measured(recording, 3, range(25, 45))
    await user.press("G")
    await expect_shown(user, "gap  today/3", "step 44", "round trip 0.120")


@behaviour(Place.EXPLORER, "gap")
async def _upper_g_shows_what_carries_the_prediction(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("G")
    await expect_shown(user, "gap  today/3", "was not measured", "fork 3 --step 0 --measures all")
    await expect_shown(user, "step 10–20 ×2", "✓ from z", "from its text  not measured")
    await user.press("escape")
    await gap_of_newest(user, recording)
    await expect_shown(user, "the vector carries the prediction, its text does not (round trip 0.12)")
    await expect_shown(
        user, "CE from z", "from its text 6.2500", "z says         z 44", "· from its text  He ran."
    )
    made, reread = measured(3, 45, "\x1b[2J[b]readable", PUBLISHED_TARGET, PUBLISHED_TARGET, 0.97)
    recording.measured_step(made, reread)
    await expect_shown(user, "the text of z carries the prediction (round trip 0.97)", "␛[2J[b]readable")


@behaviour(Place.GAP, "previous_group", "next_group", "first_group", "last_group", "page_up", "page_down")
async def _arrows_move_through_the_rows_and_end_follows(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await gap_of_newest(user, recording)
    await user.press("home")
    await expect_shown(user, "step 0 ", "I eat cheese every day.")
    record_measured(recording, 3, range(45, 46))
    await user.press("down", "up")
    await expect_shown(user, "step 0 ")
    await user.press("pagedown", "pagedown")
    await expect(user, lambda: "step 0 " not in text(user))
    await user.press("pageup", "pageup")
    await expect_shown(user, "step 0 ", "I eat cheese every day.")
    await user.press("end")
    await expect_shown(user, "step 45 ", "z says         z 45")
    record_measured(recording, 3, range(46, 47))
    await expect_shown(user, "step 46 ", "z says         z 46")


@behaviour(Place.GAP, "open_row")
async def _enter_opens_the_row(user: User, control: RecordingControl, recording: Recording) -> None:
    await gap_of_newest(user, recording)
    await user.press("up")
    await user.press("enter")
    await expect_shown(user, "today/3, step 43 of 100", "cross-entropy of the target's tokens")
    await user.press("escape")
    await expect_shown(user, "gap  today/3")


@behaviour(Place.GAP, "close")
async def _escape_closes_the_gap_view(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("G")
    await expect_shown(user, "gap  today/3")
    await user.press("escape")
    await expect_shown(user, "3 runs, newest first")


@behaviour(Place.TABLE, "cycle_numbers")
async def _upper_m_goes_round_the_numbers_that_the_table_shows(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    record_measured(recording, 3, range(25, 26))
    recording.steps(3, [row(3, 26, decoded_prediction="Lily Lily Lily Lily Lily.", match=False)])
    await expect_shown(user, "loss     sim", " 26 ")
    assert any(line.split()[-1] != "∞" and " ∞ " in line for line in lines(user) if " 26 " in line)
    assert "r-trip" not in text(user)
    await user.press("tab", "M")
    await expect_shown(user, "The table shows what is measured", "r-trip", "re-CE", "WER")
    await expect(user, lambda: any("0.120   6.250   0.500" in line for line in lines(user)))
    await user.press("M")  # its only term is the loss itself, and is left out
    await expect(user, lambda: "r-trip" not in text(user) and "loss     sim" in text(user))
    recording.steps(3, [row(3, 27, terms={"ce": 2.5, "cosine": 0.25})])
    await expect_shown(user, " 27 ")
    await user.press("M", "M")
    await expect_shown(user, "loss        ce    cosine  ✓", "2.5000    0.2500")
    await user.press("M")
    await expect_shown(user, "loss     sim")
