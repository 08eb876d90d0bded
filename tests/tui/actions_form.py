"""What the actions of the form for a new run do, as a user sees it."""

from engine.spec import RunSpec
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording
from tests.tui.screen import User, expect, expect_shown, form_of, lines, text
from tui.actions import Place
from tui.presets import EXAMPLES, Preset, read_presets, save_preset


@behaviour(Place.FORM, "start")
async def _the_form_starts_what_was_typed(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open(user)
    form_of(user).set_values({"target": "The dog was happy.", "name": "dog"})
    await user.press("enter")
    await expect(user, lambda: control.queued)
    assert control.queued == [(RunSpec(target="The dog was happy."), None, "dog")]
    await expect_shown(user, "today/4", "The dog was happy.")


@behaviour(Place.FORM, "cancel")
async def _the_form_can_be_closed(user: User, control: RecordingControl, recording: Recording) -> None:
    await _open(user)
    await user.press("escape")
    await expect(user, lambda: "New run" not in text(user))
    assert control.queued == []


@behaviour(Place.FORM, "next_field", "previous_field")
async def _tab_and_the_arrows_go_from_field_to_field(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await _open(user)
    for key, typed, shown in (
        ("tab", "A", "girl named Lily.A"),
        ("down", "5", "weight of ce      15"),
        ("up", "B", "girl named Lily.AB"),
        ("shift+tab", "C", "I like cheese.C"),
    ):
        await user.press(key, typed)
        await expect_shown(user, shown)
    await user.press("up", "up", "up")
    assert form_of(user).current == "measures", "round the ends"


@behaviour(Place.CHOICE, "next_choice", "previous_choice")
async def _the_arrows_turn_a_choice(user: User, control: RecordingControl, recording: Recording) -> None:
    await _open(user)
    await user.press("up")
    await expect_shown(user, "‹ text ›")
    await user.press("right")
    await expect_shown(user, "‹ random ›", "direction seed")
    await user.press("space")
    await expect_shown(user, "‹ vector ›", "from run")
    await user.press("left", "left")
    await expect_shown(user, "‹ text ›")
    await user.press("r")
    await expect_shown(user, "‹ random ›")


@behaviour(Place.FORM, "next_source")
async def _other_values_come_by_a_key_and_what_was_typed_comes_back(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("down", "down")
    await expect_shown(user, "■ finished")
    await _open(user)
    await expect_shown(user, "‹ last run: today/3 ›")
    await user.press("end", "!")
    await expect_shown(user, "I like cheese.!", "changed since")
    published = ("published: decoder CE", "published: cosine")
    examples = [f"built in: {name}" for name in EXAMPLES]
    for label in ("selected run: today/1", *published, *examples):
        await user.press("ctrl+o")
        await expect_shown(user, f"‹ {label} ›")
        assert "I like cheese.!" not in text(user)
        if label == "published: cosine":
            assert any("weight of cosine  1" in line for line in lines(user))
    await user.press("ctrl+o")
    await expect_shown(user, "‹ as typed here ›", "I like cheese.!")


@behaviour(Place.FORM, "save_preset")
@behaviour(Place.PRESET_NAME, "save_name")
async def _values_are_kept_under_a_name(user: User, control: RecordingControl, recording: Recording) -> None:
    await _open(user)
    form_of(user).set_values({"lr": "0.5", "break_points": "match"})
    await user.press("ctrl+w")
    await expect_shown(user, "Save as a preset")
    await user.press(*"cosine", "enter")
    await expect_shown(user, "cosine is a published one: choose another name")
    await user.press(*" mine", "enter")
    await expect_shown(user, "saved as the preset cosine mine", "‹ preset: cosine mine ›")
    assert read_presets() == {"cosine mine": Preset(RunSpec(lr=0.5), ("match",))}
    await user.press("ctrl+w")
    await expect_shown(user, "takes the place of the preset cosine mine")


@behaviour(Place.PRESET_NAME, "close")
async def _a_name_need_not_be_given(user: User, control: RecordingControl, recording: Recording) -> None:
    await _open(user)
    await user.press("ctrl+w")
    await expect_shown(user, "Save as a preset")
    await user.press("x", "escape")
    await expect(user, lambda: "Save as a preset" not in text(user))
    await expect_shown(user, "New run")
    assert read_presets() == {}


@behaviour(Place.FORM, "delete_preset")
async def _a_preset_is_deleted_by_a_second_press(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    save_preset("slow", Preset(RunSpec(lr=0.001)))
    await _open(user)
    await user.press("ctrl+d")
    await expect_shown(user, "Only a preset of your own can be deleted")
    form_of(user).go_to("source")
    await user.press("left")
    await expect_shown(user, "‹ preset: slow ›")
    await user.press("ctrl+d")
    await expect_shown(user, "ctrl+d again deletes the preset slow")
    await user.press("tab", "shift+tab")
    assert "slow" in read_presets()
    await user.press("ctrl+d")
    await expect_shown(user, "deleted the preset slow", "‹ as typed here ›", "0.001")
    assert read_presets() == {}


async def _open(user: User) -> None:
    await user.press("n")
    await expect_shown(user, "New run", "learning rate")
