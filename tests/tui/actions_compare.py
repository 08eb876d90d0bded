"""What marking runs and the keys of a comparison do, as a user sees it."""

from engine.spec import PUBLISHED_TARGET
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import User, expect, expect_shown, lines, strips, text
from tui.actions import Place
from tui.widgets.plot import Plot
from tui.widgets.text_lines import TextLines


async def compared(user: User, *keys: str) -> None:
    """Compare the newest run (A), 25 rows, with the one before it (B), 12 rows, and press keys."""
    await user.press("x", "down", "x", "X")
    await expect_shown(user, "compare: loss", "A today/3", "B today/2")
    await user.press(*keys)


@behaviour(Place.RUNS, "mark")
async def _x_marks_a_run_with_a_letter_and_takes_it_away(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("x", "down", "x")
    await expect_shown(user, "2 marked, 3 runs", "A● 3", "B□ 2")
    await user.press("up", "x")
    await expect_shown(user, "1 marked, 3 runs", "A□ 2")
    assert "A● 3" not in text(user)
    await user.press("down", "x")
    await expect(user, lambda: "marked" not in text(user))


@behaviour(Place.EXPLORER, "compare")
async def _upper_x_compares_the_marked_runs_or_says_what_to_do(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("X")
    await expect_shown(user, "Mark the runs to compare with x in the list: two to eight")
    await user.press("x", "X")
    await expect_shown(user, "Mark the runs to compare")
    await user.press("down", "down", "X")
    await expect_shown(user, "compare: loss", "A today/3 ●", "B today/1 ■ 0.1000 ✓")


@behaviour(Place.COMPARE, "next_part", "previous_part")
async def _tab_goes_round_the_parts(user: User, control: RecordingControl, recording: Recording) -> None:
    await compared(user)
    for part in ("2 specs", "3 predictions", "4 vectors", "5 plane", "1 curves"):
        await user.press("tab")
        await expect_shown(user, f"[{part}]")
    await user.press("shift+tab")
    await expect_shown(user, "[5 plane]")


@behaviour(Place.COMPARE, "show_curves", "show_specs", "show_predictions", "show_vectors", "show_plane")
async def _a_number_shows_a_part(user: User, control: RecordingControl, recording: Recording) -> None:
    await compared(user, "2")
    await expect_shown(user, "fields differ (≠)", "decode every")
    await user.press("3")
    await expect_shown(user, "compare: predictions at step 20, the newest", "A today/3 step 20, match")
    await user.press("4")
    await expect_shown(user, "compare: cosines", "A B without vectors")
    await user.press("5")
    await expect_shown(user, "plane of z, ○ start ● end: no vectors are stored")
    await user.press("1")
    await expect_shown(user, "compare: loss", "━")


@behaviour(Place.COMPARE, "next_alignment")
async def _a_goes_round_the_alignments(user: User, control: RecordingControl, recording: Recording) -> None:
    await compared(user)
    await expect_shown(user, "by step", "20")
    await user.press("a")
    await expect_shown(user, "by seconds of steps, pauses left out", "0.4")  # 24 steps of 20 ms: 0.48 s
    await user.press("a")
    await expect_shown(user, "by steps from the first match", "-10")
    await user.press("a")
    await expect_shown(user, "by step")


@behaviour(Place.COMPARE, "next_figure")
async def _c_goes_round_the_figures_that_there_are(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await compared(user)
    for figure in ("sim", "lr", "|grad|", "|z|", "ce", "loss"):
        await user.press("c")
        await expect_shown(user, f"compare: {figure}")


@behaviour(Place.COMPARE, "toggle_log")
async def _y_changes_the_scale(user: User, control: RecordingControl, recording: Recording) -> None:
    await compared(user)
    await expect_shown(user, "compare: loss, logarithmic by step")
    await user.press("y")
    await expect_shown(user, "compare: loss by step")
    await user.press("y")
    await expect_shown(user, "compare: loss, logarithmic by step")


@behaviour(Place.COMPARE, "show_all")
async def _zero_shows_the_whole_curves_again(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await compared(user)
    await expect_shown(user, "┃A")
    await user.pause()
    whole = lines(user)[3:]
    user.app.screen.query_one(Plot).zoom_steps(0.25)
    await expect(user, lambda: lines(user)[3:] != whole)
    await user.press("0")
    await expect(user, lambda: lines(user)[3:] == whole)


@behaviour(Place.COMPARE, "previous_step", "next_step", "first_step", "last_step")
async def _arrows_go_through_the_decoded_steps(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await compared(user, "3")
    await expect_shown(user, "predictions at step 20, the newest", "A today/3 step 20", "B today/2 step 10")
    await user.press("left", "left")
    await expect_shown(user, "predictions at step 0;", "I eat cheese every day.", "B today/2 step 0")
    await user.press("left")
    await expect_shown(user, "This is the first decoded step")
    await user.press("right")
    await expect_shown(user, "predictions at step 10;", PUBLISHED_TARGET[:30])
    await user.press("less_than_sign")
    await expect_shown(user, "predictions at step 0;")
    await user.press("greater_than_sign")
    await expect_shown(user, "predictions at step 20, the newest")
    recording.steps(3, [row(3, 25, decoded_prediction="Something else.", match=False)])
    await expect_shown(user, "predictions at step 25, the newest", "Something else.")


@behaviour(Place.COMPARE, "next_difference")
async def _d_marks_words_against_something_else(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    changed = PUBLISHED_TARGET.replace("girl", "dog")
    recording.steps(3, [row(3, 25, decoded_prediction=changed, match=False)])
    await compared(user, "3")
    await expect_shown(user, "marked: not said by A", "dog")
    assert changed_words(user) == ["girl"]  # in B, which says the target
    await user.press("d")
    await expect_shown(user, "marked: not in its target")
    await expect(user, lambda: changed_words(user) == ["dog"])
    await user.press("d")
    await expect_shown(user, "marked: no words")
    await expect(user, lambda: changed_words(user) == [])


@behaviour(Place.COMPARE, "line_up", "line_down", "page_up", "page_down", "first_line", "last_line")
async def _long_parts_are_scrolled(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.resize_terminal(80, 18)
    await compared(user, "2")
    await expect_shown(user, "fields differ (≠)", "  init ")
    await user.press("down")
    await expect(user, lambda: "fields differ" not in text(user))
    await user.press("up")
    await expect_shown(user, "fields differ")
    await user.press("pagedown")
    await expect(user, lambda: "  init " not in text(user))
    await user.press("pageup")
    await expect_shown(user, "  init ")
    await user.press("end")
    await expect_shown(user, "  ran on ")
    await user.press("home")
    await expect_shown(user, "fields differ")


@behaviour(Place.COMPARE, "close")
async def _escape_closes_the_comparison_and_keeps_the_marks(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await compared(user, "escape")
    await expect_shown(user, "2 marked, 3 runs")


def changed_words(user: User) -> list[str]:
    """What is marked on the screen of a comparison."""
    view = user.app.screen.query_one(TextLines)
    style = view.get_component_rich_style("lines--changed", partial=True)
    return [
        segment.text
        for strip in strips(user)
        for segment in strip
        if segment.style is not None and segment.style.underline == style.underline and segment.text.strip()
    ]
