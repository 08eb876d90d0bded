"""The user's own keys work, and are what the footer, the help and the palette name."""

from pathlib import Path

import pytest

from engine.errors import UserError
from engine.store.records import Status
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import SMALL, expect, expect_shown, lines, opened, table_of, text
from tui.actions import ACTIONS, Place, binding_id
from tui.keymap import Keymap
from tui.settings import Settings


async def test_a_key_of_ones_own_takes_the_place_of_the_registrys(database: Path) -> None:
    async with opened(database, settings=Settings(keys={"new_run": "N, f6", "help": "f5"})) as user:
        await expect_shown(user, "No runs yet")
        assert "N new" in lines(user)[-1]
        assert "f5 help" in lines(user)[-1]
        await user.press("n", "question_mark")
        await user.press("f5")
        await expect_shown(user, Place.EXPLORER)
        assert any(line.split()[:4] == ["│", "N", "Describe", "a"] for line in lines(user))
        await user.press("escape", "N")
        await expect_shown(user, "New run")
        await user.press("escape")
        await expect(user, lambda: "New run" not in text(user))
        await user.press("f6")
        await expect_shown(user, "New run")


async def test_two_actions_can_change_keys(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 60))
    settings = Settings(keys={"table.row_up": "down,j", "table.row_down": "up,k"})
    async with opened(database, settings=settings) as user:
        await expect_shown(user, "step 59 of 100")
        await user.press("tab", "home")
        await expect(user, lambda: not table_of(user).follows)
        start = table_of(user).cursor
        await user.press("up", "k", "up", "j")
        assert table_of(user).cursor == start + 2


async def test_the_footer_names_both_keys_of_a_pair(database: Path) -> None:
    async with opened(database, settings=Settings(keys={"lower_lr": "_"})) as user:
        await expect_shown(user, "No runs yet")
        assert "+/_ lr" in lines(user)[-1]


async def test_what_is_said_about_a_run_names_the_keys_of_ones_own(
    database: Path, recording: Recording
) -> None:
    keys = {"resume": "f8", "run_published": "P", "extend": "f6"}
    keys |= {"question.confirm": "j", "dialog.close": "f9"}
    async with opened(database, settings=Settings(keys=keys)) as user:
        await expect_shown(user, "Press P to start the published experiment")
        run = recording.begin()
        recording.steps(run, published_like_rows(run, 20))
        await expect_shown(user, "● running")
        await user.press("s")
        await expect_shown(user, "? f8 goes on with it", "j yes")
        await user.press("n", "L")
        await expect_shown(user, "f9 closes")
        await user.press("f9")
        recording.end(run, 19, Status.FAILED, "no room")
        await expect_shown(user, "no room; f8 tries again from the last checkpoint")
        await user.press("L")
        await expect_shown(user, "has ended (failed); f8 goes on with it")


async def test_the_help_scrolls_to_its_end_at_80_by_24(database: Path) -> None:
    last = [action for action in ACTIONS if action.place is list(Place)[-1]][-1]
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "No runs yet")
        await user.press("question_mark")
        await expect_shown(user, Place.EXPLORER)
        assert last.help not in text(user)
        await user.press("end")
        await expect_shown(user, last.help)
        await user.press("home")
        await expect_shown(user, Place.EXPLORER)


def test_keys_can_be_written_as_people_write_them() -> None:
    keymap = Keymap({"new_run": "@, shift+f3, alt++, é"})
    assert keymap.bindings == {"explorer.new_run": "at,shift+f3,alt+plus,é"}
    (action,) = (action for action in keymap.actions if binding_id(action) == "explorer.new_run")
    assert action.shown_key == "@"


def test_names_that_textual_gives_are_keys_too() -> None:
    """What is printed of the registry can be pasted, so every key in it must be understood."""
    own = {binding_id(action): action.keys for action in ACTIONS}
    assert Keymap(own).bindings == own


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"new_run": "p"}, "new_run: 'p' is the key of run_published too (anywhere on the main screen)"),
        ({"new_run": "up"}, "new_run: 'up' is the key of previous_run too (in the list of runs)"),
        ({"table.first_row": "n"}, "first_row: 'n' is the key of new_run too (anywhere on the main screen)"),
        ({"new_run": "N", "run_published": "N"}, "new_run: 'N' is the key of run_published too"),
    ],
)
def test_a_clash_names_both_actions_and_the_place(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        Keymap(keys)
    assert str(refused.value).startswith(said)


def test_a_key_that_was_given_up_is_free() -> None:
    assert Keymap({"new_run": "p", "run_published": "n"}).bindings == {
        "explorer.new_run": "p",
        "explorer.run_published": "n",
    }
