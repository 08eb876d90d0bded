"""What the keys of the list of runs and of the charts do, as a user sees it."""

import re

from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import User, expect, expect_shown, lines, runs_of, table_of, text
from tui.actions import Place


def pane(user: User) -> list[str]:
    """What stands in the left pane, line by line."""
    width = user.app.query_one("#left").size.width
    return [line[:width].rstrip() for line in lines(user)]


def numbers(user: User) -> list[str]:
    """The numbers of the runs in the list, from the top."""
    found = (re.match(r"[ │├└]+[○◌●◆■□✗!] (\S*\d)", line) for line in pane(user))
    return [match.group(1) for match in found if match]


@behaviour(Place.EXPLORER, "filter")
@behaviour(Place.FILTER, "clear_filter")
async def _the_list_is_narrowed_down_while_typing_and_escape_shows_all_again(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.queue(target="The dog was happy.", name="dog")
    await expect(user, lambda: numbers(user) == ["4", "3", "2", "1"])
    await user.press("slash", *"status:stop")
    await expect(user, lambda: numbers(user) == ["2"])
    await expect_shown(user, "1 of 4 runs", "□ stopped")
    await user.press("escape")
    await expect(user, lambda: numbers(user) == ["4", "3", "2", "1"])
    await expect_shown(user, "4 runs, newest first", "● running")
    assert runs_of(user).has_focus
    await user.press("slash", *"DOG")
    await expect(user, lambda: numbers(user) == ["4"])
    await user.press(*"gy")
    await expect_shown(user, "0 of 4 runs")
    assert numbers(user) == []
    await expect_shown(user, "today/4")


@behaviour(Place.FILTER, "keep_filter")
@behaviour(Place.RUNS, "clear_filter")
async def _enter_keeps_the_filter_and_escape_in_the_list_clears_it(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("tab", "slash", *"steps>=100 -nonsense")
    await expect_shown(user, "0 of 3 runs")
    for _ in "-nonsense":
        await user.press("backspace")
    await user.press(*"loss<")
    await expect_shown(user, "loss<: a number is")
    await expect(user, lambda: numbers(user) == ["3", "2", "1"])
    await user.press(*"0.11")
    await expect(user, lambda: numbers(user) == ["1"])
    await user.press("enter")
    assert runs_of(user).has_focus
    await expect_shown(user, "1 of 3 runs", "loss<0.11", "■ finished")
    await user.press("escape")
    await expect(user, lambda: numbers(user) == ["3", "2", "1"])
    assert "loss<0.11" not in text(user)


@behaviour(Place.EXPLORER, "sort")
async def _the_orders_follow_one_another(user: User, control: RecordingControl, recording: Recording) -> None:
    recording.queue(name="Aardvark", session="animals")
    await expect(user, lambda: numbers(user) == ["1", "3", "2", "1"])
    for order, expected in (
        ("by loss", ["today/1", "today/3", "today/2", "animals/1"]),
        ("by similarity", ["today/1", "today/3", "today/2", "animals/1"]),
        ("by first match", ["today/3", "today/2", "today/1", "animals/1"]),
        ("by name", ["animals/1", "today/3", "today/2", "today/1"]),
        ("newest first", ["1", "3", "2", "1"]),
    ):
        await user.press("S")
        await expect_shown(user, f"4 runs, {order}")
        assert numbers(user) == expected, order


@behaviour(Place.RUNS, "expand", "collapse")
async def _left_closes_a_session_and_right_opens_it(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    assert any(re.match(r" ▾ today +3$", line) for line in pane(user))
    await user.press("left", "left")
    await expect(user, lambda: numbers(user) == [])
    assert any(re.match(r" ▸ today +3$", line) for line in pane(user))
    await expect_shown(user, "today/3", "● running")  # what was selected stays in view
    await user.press("right")
    await expect(user, lambda: numbers(user) == ["3", "2", "1"])
    await user.press("right", "right")
    await expect(user, lambda: table_of(user).has_focus)


@behaviour(Place.RUNS, "page_up", "page_down")
async def _pages_move_through_a_long_list(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    for number in range(60):
        recording.queue(name=f"number {number}")
    await expect(user, lambda: len(runs_of(user).runs) == 63)
    await user.press("home")
    await expect_shown(user, "today/63")
    await user.press("pagedown")
    await expect(user, lambda: "63" not in numbers(user) or len(numbers(user)) < 63)
    await expect(user, lambda: (run := runs_of(user).selected) and 40 < run.record.number < 50)
    await user.press("pageup")
    await expect_shown(user, "today/63")


def strip(user: User) -> list[str]:
    """What stands in the strip of charts."""
    widget = user.app.query_one("#strip")
    top, left = widget.region.y, widget.region.x
    return [line[left:] for line in lines(user)[top : top + widget.region.height]]


@behaviour(Place.EXPLORER, "next_chart")
async def _the_charts_follow_one_another_and_show_where_something_changed(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    recording.set_lr(3, 25, 0.01, 0.0125)
    recording.steps(3, [row(3, step, lr=0.0125, terms={"ce": 2.0, "cosine": 0.5}) for step in range(25, 30)])
    await expect(user, lambda: any("┊" in line for line in strip(user)))
    for label in ("ce", "sim", "lr", "|grad|", "|z|", "loss"):
        await user.press("c")
        await expect(user, lambda label=label: strip(user)[3][:10].split()[-1:] == [label])  # type: ignore[misc]
    await user.press("c", "c", "c")
    await expect(user, lambda: strip(user)[0].split()[0] == "0.0125" and strip(user)[5].split()[0] == "0.01")


@behaviour(Place.EXPLORER, "toggle_log")
async def _the_scale_is_logarithmic_or_not(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await expect(user, lambda: any("log loss" in line for line in strip(user)))
    await user.press("y")
    await expect(user, lambda: any(line[:10].strip() == "loss" for line in strip(user)))
    await user.press("y")
    await expect(user, lambda: any("log loss" in line for line in strip(user)))


def axis(user: User) -> list[int]:
    """The steps under the axis of the full-screen chart."""
    below = [line for line in lines(user) if re.fullmatch(r"[ \d]+", line) and line.strip()]
    return [int(number) for number in below[-1].split()] if below else []


async def _open_chart(user: User, recording: Recording) -> None:
    recording.set_lr(3, 25, 0.01, 0.0125)
    recording.steps(3, [row(3, step, lr=0.0125) for step in range(25, 41)])
    await expect_shown(user, "step 40 of 100")
    await user.press("C")
    await expect_shown(user, "today/3  loss, logarithmic, 41 rows", "esc close")
    await expect(user, lambda: axis(user) == [0, 5, 10, 15, 20, 25, 30, 35, 40])


@behaviour(Place.EXPLORER, "open_chart")
@behaviour(Place.CHART, "close")
async def _the_chart_fills_the_screen_follows_the_run_and_is_closed(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open_chart(user, recording)
    marked = [line.index("│") for line in lines(user) if line.count("│") == 1]
    assert len(marked) > 20
    assert len(set(marked)) == 1
    below = next(line for line in lines(user) if re.fullmatch(r"[ \d]+", line) and line.strip())
    step_20, step_30 = (below.index(f" {step} ") + 1.5 for step in (20, 30))
    assert step_20 < marked[0] < step_30
    recording.steps(3, [row(3, 41, loss=None), row(3, 42)])
    await expect_shown(user, "43 rows")
    await user.press("escape")
    await expect_shown(user, "3 runs, newest first")


@behaviour(Place.CHART, "next_chart", "toggle_log")
async def _the_full_screen_chart_shows_every_figure_on_either_scale(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open_chart(user, recording)
    await user.press("y")
    await expect_shown(user, "today/3  loss, 41 rows", " 3.0 ┫")
    await user.press("y")
    await expect_shown(user, "loss, logarithmic", " 2 ┫", " 0.5 ┫")
    for figure in ("terms", "sim", "lr", "|grad|", "|z|", "loss"):
        await user.press("c")
        await expect_shown(user, f"today/3  {figure}")


@behaviour(Place.CHART, "zoom_in", "zoom_out", "pan_left", "pan_right", "show_all")
async def _the_axis_of_steps_is_zoomed_and_moved(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open_chart(user, recording)
    await user.press("plus", "plus")
    await expect(user, lambda: axis(user) and axis(user)[0] > 10 and axis(user)[-1] < 30)
    middle = axis(user)
    await user.press("right")
    await expect(user, lambda: axis(user)[-1] > middle[-1])
    await user.press("left", "left")
    await expect(user, lambda: axis(user)[0] < middle[0])
    await user.press(*["right"] * 20)
    await expect(user, lambda: axis(user)[-1] == 40)  # there is nothing beyond the last step
    await user.press(*["minus"] * 5)
    await expect(user, lambda: axis(user) == [0, 5, 10, 15, 20, 25, 30, 35, 40])
    await user.press("plus", "0")
    await expect(user, lambda: axis(user) == [0, 5, 10, 15, 20, 25, 30, 35, 40])


def value_axis(user: User) -> list[float]:
    """The values beside the axis of the full-screen chart, from the top."""
    found = (re.match(r" +([\d.]+) ┫", line) for line in lines(user))
    return [float(match.group(1)) for match in found if match]


@behaviour(Place.CHART, "zoom_values_in", "zoom_values_out", "pan_up", "pan_down")
async def _the_axis_of_values_is_zoomed_and_moved(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open_chart(user, recording)
    await user.press("y")
    await expect(user, lambda: value_axis(user)[:2] == [3.5, 3.0])
    await user.press("greater_than_sign", "greater_than_sign")
    await expect(user, lambda: value_axis(user)[0] < 3.0 and value_axis(user)[-1] > 0.8)
    closer = value_axis(user)
    await user.press("up")
    await expect(user, lambda: value_axis(user)[0] > closer[0])
    await user.press("down", "down")
    await expect(user, lambda: value_axis(user)[-1] < closer[-1])
    await user.press("up", "less_than_sign", "less_than_sign")
    await expect(user, lambda: value_axis(user)[0] >= 3.0 and value_axis(user)[-1] <= 0.5)
