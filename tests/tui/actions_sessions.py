"""What the keys of the sessions, the search and their dialogs do, as a user sees it."""

import math

from engine.store.reading import Reader
from engine.store.records import Status
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import User, expect, expect_shown, lines, runs_of, table_of, text
from tui.actions import Place


def another(recording: Recording, session: str, *texts: str) -> int:
    """A run in a session, with a row for each text."""
    run = recording.queue(session=session)
    rows = [row(run, step, decoded_prediction=said, match=False) for step, said in enumerate(texts)]
    recording.steps(run, rows)
    recording.end(run, len(texts), Status.STOPPED)
    return run


def listed(user: User) -> list[str]:
    """The names of the sessions in the table, from the top."""
    top = user.app.screen.query_one("#sessions").region.y + 1
    names = (line[1:20].split("  ")[0].strip() for line in lines(user)[top:])
    return [name for name in names if name and name[0] not in "─n " and name in _NAMES]


_NAMES = {"today", "animals", "zebra", "cheese", "a better name"}


async def browse(user: User, recording: Recording) -> None:
    """The table of the sessions `today`, `animals` and `zebra`."""
    another(recording, "animals", "A dragon flew.", "A dragon slept.")
    another(recording, "zebra", "A zebra stood.")
    await expect(user, lambda: len(runs_of(user).runs) == 5)
    await user.press("B")
    await expect_shown(user, "3 sessions, 5 runs, last active first")
    await expect(user, lambda: len(listed(user)) == 3 and "…" not in text(user))


async def point_at(user: User, name: str) -> None:
    """Put the cursor on a session, by its keys alone."""
    await user.press("home", *["down"] * listed(user).index(name))


def session_names(recording: Recording) -> list[str]:
    with Reader(recording.path) as reader:
        return sorted(session.name for session in reader.sessions())


@behaviour(Place.EXPLORER, "browse")
@behaviour(Place.SESSIONS, "close")
async def _the_sessions_stand_in_a_table_with_their_figures(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    today = next(line for line in lines(user) if line.startswith(" today "))
    assert today.split()[1:4] == ["3", "3", "0.1000"]
    animals = next(line for line in lines(user) if line.startswith(" animals "))
    assert animals.split()[1:4] == ["1", "–", f"{0.1 + 3.5 * math.exp(-1 / 6):.4f}"]
    await user.press("escape")
    await expect_shown(user, "5 runs, newest first")


@behaviour(Place.SESSIONS, "open_session")
async def _enter_shows_the_session_on_the_main_screen(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    await point_at(user, "animals")
    await user.press("enter")
    await expect_shown(user, "5 runs, newest first", "animals/1", "□ stopped")
    await expect(user, lambda: runs_of(user).has_focus)


@behaviour(Place.SESSIONS, "sort")
async def _the_orders_of_the_sessions_follow_one_another(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    for order, first in (
        ("by loss", "today"),
        ("by matches", "today"),
        ("by size", "today"),
        ("by name", "animals"),
        ("last active first", "zebra"),
    ):
        await user.press("S")
        await expect_shown(user, order)
        await expect(user, lambda first=first: listed(user)[0] == first)  # type: ignore[misc]


@behaviour(Place.SESSIONS, "previous_session", "next_session", "first_session", "last_session")
@behaviour(Place.SESSIONS, "page_up", "page_down")
async def _the_cursor_moves_through_the_sessions(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    for number in range(60):
        recording.queue(session=f"s{number:02}")
    await expect(user, lambda: len(runs_of(user).runs) == 63)
    await user.press("B")
    await expect_shown(user, "61 sessions")
    for keys, expected in (
        (["S"] * 4, None),
        (["home"], "s00"),
        (["down", "down", "up"], "s01"),
        (["end"], "today"),
        (["up"], "s59"),
        (["home", "pagedown"], None),
        (["pageup"], "s00"),
    ):
        await user.press(*keys)
        if expected is not None:
            await user.press("r")
            await expect_shown(user, f"Rename {expected}")
            await user.press("escape")
            await expect(user, lambda: "Rename" not in text(user))
        elif keys[-1] == "pagedown":
            await expect(user, lambda: "s00" not in text(user) or "s30" in text(user))


@behaviour(Place.SESSIONS, "filter")
@behaviour(Place.SESSION_FILTER, "keep_filter", "clear_filter")
async def _the_sessions_are_narrowed_down_while_typing(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    await user.press("slash", *"ZEB")
    await expect_shown(user, "1 of 3 sessions")
    assert listed(user) == ["zebra"]
    await user.press("enter", "S")
    await expect_shown(user, "1 of 3 sessions", "by loss")
    await user.press("slash", *"x")
    await expect_shown(user, "0 of 3 sessions", "No session has that")
    await user.press("escape")
    await expect(user, lambda: len(listed(user)) == 3)


@behaviour(Place.SESSIONS, "rename")
@behaviour(Place.NAMING, "save", "close")
async def _a_session_is_renamed_and_a_name_that_is_taken_can_be_mended(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    await point_at(user, "animals")
    await user.press("r")
    await expect_shown(user, "Rename animals", "enter save")
    await user.press(*["backspace"] * 7, *"today", "enter")
    await expect_shown(user, "session: 'today': there is one of that name")
    await user.press(*["backspace"] * 5, *"a better name", "enter")
    await expect(user, lambda: "a better name" in listed(user) and "Rename" not in text(user))
    assert session_names(recording) == ["a better name", "today", "zebra"]
    await user.press("r", "x", "escape")
    await expect(user, lambda: "Rename" not in text(user))
    assert session_names(recording) == ["a better name", "today", "zebra"]


@behaviour(Place.SESSIONS, "edit_tags")
async def _tags_are_changed_and_found(user: User, control: RecordingControl, recording: Recording) -> None:
    await browse(user, recording)
    await point_at(user, "zebra")
    await user.press("t", *"slow, cosine,", "enter")
    await expect(user, lambda: any("zebra" in line and "slow, cosine" in line for line in lines(user)))
    await user.press("slash", *"cosine")
    await expect(user, lambda: listed(user) == ["zebra"])


@behaviour(Place.SESSIONS, "edit_notes")
@behaviour(Place.NOTES, "save", "close")
async def _notes_are_written_and_shown_as_what_they_mean(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    await point_at(user, "animals")
    await user.press("n")
    await expect_shown(user, "Notes on animals", "ctrl+s save")
    await user.press(*"# Plan", "enter", *"- try **this** [bold]", "ctrl+s")
    await expect_shown(user, "• try this [bold]")
    assert not any("# Plan" in line for line in lines(user))
    await user.press("n")
    await expect_shown(user, "# Plan")
    await user.press(*"!!", "escape")
    await expect_shown(user, "The notes have changed")
    await user.press("escape")
    await expect(user, lambda: "Notes on" not in text(user))
    with Reader(recording.path) as reader:
        assert reader.session("animals").notes == "# Plan\n- try **this** [bold]"


@behaviour(Place.SESSIONS, "notes_up", "notes_down")
async def _long_notes_are_scrolled(user: User, control: RecordingControl, recording: Recording) -> None:
    from engine.store.sessions import set_notes

    await browse(user, recording)
    with Reader(recording.path) as reader:
        key = reader.session("zebra").id
    set_notes(recording.path, key, "\n\n".join(f"line {number}" for number in range(40)))
    await point_at(user, "zebra")
    await expect_shown(user, "line 0")
    await user.press("right_square_bracket")
    await expect(user, lambda: "line 0" not in text(user))
    await user.press("left_square_bracket")
    await expect_shown(user, "line 0")


@behaviour(Place.SESSIONS, "archive", "show_archived")
async def _an_archived_session_is_hidden_here_and_in_the_list_of_runs(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    await point_at(user, "animals")
    await user.press("a")
    await expect_shown(user, "2 sessions, 1 archived hidden", "animals is archived; A shows such sessions")
    assert listed(user) == ["zebra", "today"]
    await user.press("escape")
    await expect_shown(user, "4 runs, newest first")
    await user.press("B")
    await expect_shown(user, "2 sessions")
    await user.press("A")
    await expect_shown(user, "3 sessions, 1 archived shown")
    await expect(user, lambda: len(runs_of(user).runs) == 5)
    await point_at(user, "animals")
    await user.press("a")
    await expect_shown(user, "3 sessions, 5 runs")


@behaviour(Place.SESSIONS, "delete", "undo")
async def _a_deleted_session_comes_back(user: User, control: RecordingControl, recording: Recording) -> None:
    await browse(user, recording)
    await point_at(user, "animals")
    await user.press("delete")
    await expect_shown(user, "2 sessions, 4 runs", "Deleted session animals. u brings it back")
    assert session_names(recording) == ["today", "zebra"]
    await user.press("u")
    await expect_shown(user, "3 sessions, 5 runs", "Session animals is back")
    await user.press("u")
    await expect_shown(user, "Nothing was deleted since the start")
    await point_at(user, "today")
    await user.press("delete")
    await expect_shown(user, "run 3: is running, and its worker holds it: stop it first")
    assert session_names(recording) == ["animals", "today", "zebra"]


@behaviour(Place.SESSIONS, "search")
@behaviour(Place.SEARCH, "open_hit", "next_hit", "previous_hit", "close")
async def _the_run_that_ever_said_it_is_found_at_its_row(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await browse(user, recording)
    await user.press("f")
    await expect_shown(user, "Search all texts that were ever decoded")
    await user.press(*'unicorn" OR')
    await expect_shown(user, "No run ever decoded to that")
    await user.press("ctrl+u", *"A")
    await expect_shown(user, "Said by 5 runs, newest first")
    await user.press("ctrl+u", *"sle")
    await expect_shown(user, "Said by 1 run", "animals/1       1  prediction  A dragon slept.")
    await user.press("escape")
    await expect_shown(user, "3 sessions")
    await user.press("f", *"a")
    await expect_shown(user, "Said by 5 runs", "zebra/1")
    await user.press("down", "down", "up", "enter")
    await expect_shown(user, "5 runs, newest first", "animals/1", "A dragon slept.")
    await expect(user, lambda: table_of(user).has_focus and table_of(user).place == 0)


@behaviour(Place.SEARCH, "page_up", "page_down")
async def _pages_move_through_what_was_found(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    for number in range(50):
        another(recording, f"s{number}", "A mouse ran.")
    await user.press("B", "f", *"mouse")
    await expect_shown(user, "Said by 50 runs", "s49/1")
    await user.press("pagedown", "pagedown")
    await expect(user, lambda: "s49/1" not in text(user) and "s0/1" in text(user))
    await user.press("pageup", "pageup")
    await expect_shown(user, "s49/1")


@behaviour(Place.RUNS, "delete", "undo")
async def _a_deleted_run_comes_back(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("down", "delete")
    await expect_shown(user, "2 runs, newest first", "Deleted run today/2. u brings it back")
    await expect(user, lambda: (run := runs_of(user).selected) and run.record.id == 1)
    await user.press("u")
    await expect_shown(user, "3 runs, newest first", "Run today/2 is back")
    await expect(user, lambda: (run := runs_of(user).selected) and run.record.id == 2)
    await user.press("up", "delete")
    await expect_shown(user, "run 3: is running, and its worker holds it: stop it first")
    another(recording, "animals", "A dragon.")
    await expect_shown(user, "4 runs, newest first")
    await user.press("home", "left", "delete")
    await expect_shown(user, "Deleted session animals", "3 runs, newest first")


@behaviour(Place.RUNS, "rename")
@behaviour(Place.NAMING, "next_field", "previous_field")
async def _a_run_is_named_and_moved(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("down", "f2")
    await expect_shown(user, "today/2", "session", "enter save")
    await user.press(*"bold", "tab", *["backspace"] * 5, "enter")
    await expect_shown(user, "session: '': a name has 1 to 200 printable characters")
    await user.press(*"cheese", "shift+tab", *"er", "enter")
    await expect_shown(user, "cheese/1", "bolder")
    with Reader(recording.path) as reader:
        assert (reader.run(2).session, reader.run(2).number, reader.run(2).name) == ("cheese", 1, "bolder")
