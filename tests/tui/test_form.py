"""The form for a new run: what is wrong is said beside the field, and nothing is started."""

from pathlib import Path

import pytest
from textual.widgets import Input, Select

from engine.spec import RunSpec, parse_spec
from tests.tui.conftest import RecordingControl
from tests.tui.screen import SMALL, User, expect, expect_shown, lines, opened, text
from tui.screens.new_run import FIELDS, form_errors, spec_of

DEFAULTS = {field.key: field.default for field in FIELDS}


def test_the_defaults_are_the_published_experiment() -> None:
    assert form_errors(DEFAULTS) == {}
    assert spec_of(DEFAULTS) == RunSpec()


def test_every_field_of_a_spec_can_be_given() -> None:
    spec = parse_spec(
        init={"kind": "vector", "run": 3, "step": 7},
        target="The dog was happy.",
        weights={"ce": 0.5, "mse": 2},
        lr=0.2,
        steps=7,
        norm=0.3,
        decode_every=2,
        beam=1,
        max_decoded_tokens=20,
        bundle="sonar-llm-900m",
        device="cuda:1",
        dtype="bfloat16",
        seed=9,
        vectors="ends",
    )
    given = {
        "init_kind": "vector",
        "init_run": "3",
        "init_step": "7",
        "weight_ce": "0.5",
        "weight_mse": "2",
        "norm": "0.3",
    }
    plain = {
        name: str(value)
        for name, value in spec.model_dump(exclude={"init", "weights", "norm"}).items()
        if name in DEFAULTS
    }
    assert set(RunSpec.model_fields) - set(plain) == {"init", "weights", "norm"}
    assert spec_of(DEFAULTS | plain | given) == spec


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"lr": "0"}, "lr", "greater than 0"),
        ({"lr": "nan"}, "lr", "finite"),
        ({"lr": "fast"}, "lr", "'fast': should be a valid number"),
        ({"target": "  "}, "target", "empty"),
        ({"init_text": ""}, "init_text", "empty"),
        ({"init_kind": "random", "init_seed": "-1"}, "init_seed", "greater than or equal to 0"),
        ({"init_kind": "vector", "init_run": ""}, "init_run", "valid integer"),
        ({"init_kind": "vector", "init_run": "1", "init_step": "x"}, "init_step", "valid integer"),
        ({"weight_ce": "0"}, "weight_ce", "above 0"),
        ({"weight_cosine": "-1"}, "weight_cosine", "0 or more"),
        ({"weight_mse": "much"}, "weight_mse", "valid number"),
        ({"steps": "0"}, "steps", "greater than or equal to 1"),
        ({"norm": "long"}, "norm", "initial, free, or a number"),
        ({"norm": "-2"}, "norm", "a number above 0"),
        ({"beam": "100"}, "beam", "less than or equal to 20"),
        ({"max_decoded_tokens": "0"}, "max_decoded_tokens", "greater than or equal to 1"),
        ({"device": "gpu"}, "device", "auto, cpu, cuda"),
        ({"seed": "1.5"}, "seed", "valid integer"),
    ],
)
def test_a_wrong_field_is_named_by_its_place(changes: dict[str, str], key: str, said: str) -> None:
    errors = form_errors(DEFAULTS | changes)
    assert list(errors) == [key]
    assert said in errors[key]


def test_several_wrong_fields_are_all_named() -> None:
    errors = form_errors(DEFAULTS | {"lr": "0", "steps": "x", "target": ""})
    assert set(errors) == {"lr", "steps", "target"}


def test_a_sentence_that_is_too_long_for_the_bundle_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.tokens.count_tokens", lambda bundle, text: len(text.split()))
    assert form_errors(DEFAULTS | {"target": "word " * 125}) == {}
    too_long = form_errors(DEFAULTS | {"target": "word " * 126, "init_text": "word " * 127})
    assert too_long == {
        "target": "126 tokens; bundle mini takes at most 125",
        "init_text": "127 tokens; bundle mini takes at most 126",
    }
    assert form_errors(DEFAULTS | {"target": "word " * 126, "bundle": "sonar-llm-100m"}) == {}


async def test_the_error_stands_beside_the_field_while_one_types(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        _input(user, "lr").focus()
        await user.press("end", "backspace", "backspace", "backspace", "backspace", "minus", "1")
        await expect(user, lambda: "greater than 0" in _line(user, "learning rate"))
        await user.press("ctrl+s")
        await expect_shown(user, "1 field to mend first")
        assert control.queued == []
        await user.press("home", "delete")
        await expect(user, lambda: "greater than 0" not in text(user))


async def test_what_control_refuses_is_said_in_the_form_and_can_be_mended(
    database: Path, control: RecordingControl
) -> None:
    control.refusal = "device: cuda:7: there is no such device"
    async with opened(database, control) as user:
        await _open(user)
        await user.press("enter")
        await expect_shown(user, "cuda:7: there is no such device", "New run")
        control.refusal = None
        await user.press("enter")
        await expect(user, lambda: control.queued)
        await expect(user, lambda: "New run" not in text(user))


async def test_the_start_decides_which_fields_are_asked_for(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        assert "direction seed" not in text(user)
        user.app.screen.query_one("#init_kind", Select).value = "random"
        await expect_shown(user, "direction seed")
        assert "I like cheese." not in text(user)
        await user.press("ctrl+s")
        await expect(user, lambda: control.queued)
        assert control.queued[0][0] == parse_spec(init={"kind": "random", "seed": 0})


async def test_the_form_scrolls_on_a_small_terminal(database: Path, control: RecordingControl) -> None:
    async with opened(database, control, size=SMALL) as user:
        await _open(user)
        assert "today's date" not in text(user)
        _input(user, "name").focus()
        await expect_shown(user, "today's date", "may stay empty")


async def test_letters_that_are_keys_elsewhere_are_typed_into_the_form(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        await user.press("end", "space", "q", "n", "p", "s")
        await expect_shown(user, "I like cheese. qnps")
        assert user.app.is_running


async def _open(user: User) -> None:
    await expect_shown(user, "No runs yet")
    await user.press("n")
    await expect_shown(user, "New run", "I like cheese.")


def _input(user: User, key: str) -> Input:
    return user.app.screen.query_one(f"#{key}", Input)


def _line(user: User, part: str) -> str:
    return next(line for line in lines(user) if part in line)
