"""The form for a new run: what is wrong is said beside the field, and nothing is started."""

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input

from engine import control as engine_control
from engine.errors import UserError
from engine.objective import TERMS
from engine.optimizers import OPTIMIZERS
from engine.options import OPTIONS
from engine.spec import PUBLISHED_TARGET, RunSpec, parse_spec
from engine.store.reading import Reader
from engine.store.records import Status
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording
from tests.tui.screen import (
    LARGE,
    MEDIUM,
    SMALL,
    User,
    expect,
    expect_said,
    expect_shown,
    form_of,
    lines,
    opened,
    runs_of,
    text,
)
from tui.app import ExplorerApp
from tui.form_fields import DEFAULTS, FIELDS, GROUPS, SPEC_KEYS, shown_fields
from tui.form_values import form_errors, order_of, spec_of, split_texts, values_of
from tui.presets import Preset, presets_file, save_preset
from tui.settings import Settings
from tui.token_counts import Measured, measure
from tui.widgets.field_editor import typed_text
from tui.widgets.form_pane import FormPane

SPEC = parse_spec(
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
    encoder="cpu",
    compile=True,
    seed=9,
    vectors="ends",
    measures="quick",
    continuation=["The cat was sad.", "They slept."],
    forcing="free",
    before=["It rained."],
    context=["They met.", "They talked."],
    source_lang="deu_Latn",
    target_lang="fra_Latn",
    schedules={"lr": "cosine:0.001:50", "fluency": "linear:0.5:50"},
    options={
        "noise.copies": 4,
        "noise.level": 0.3,
        "projection.every": 5,
        "anchor.to": "all",
        "anchor.sentences": ["A dog.", "A cat."],
        "sgd.momentum": 0.5,
    },
    read_every=3,
    optimizer="sgd",
    clip=1.5,
)
"""Other than the default in every field."""


@pytest.fixture
def words_are_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer that can be counted along with."""
    monkeypatch.setattr("engine.tokens.count_tokens", lambda bundle, text: len(text.split()))


def test_the_defaults_are_the_published_experiment() -> None:
    assert form_errors(DEFAULTS) == {}
    assert spec_of(DEFAULTS) == RunSpec()


def test_every_field_of_a_spec_can_be_given() -> None:
    given = {
        "init_kind": "vector",
        "init_run": "3",
        "init_step": "7",
        "weight_ce": "0.5",
        "weight_mse": "2",
        "weight_fluency": "linear:0.5:50",
        "lr": "0.2 cosine:0.001:50",
        "norm": "0.3",
        "continuation_1": "The cat was sad.",
        "continuation_2": "They slept.",
        "before_1": "It rained.",
        "context_1": "They met.",
        "context_2": "They talked.",
        "option_noise.copies": "4",
        "option_noise.level": "0.3",
        "option_projection.every": "5",
        "option_anchor.to": "all",
        "option_anchor.sentences_1": "A dog.",
        "option_anchor.sentences_2": "A cat.",
        "option_sgd.momentum": "0.5",
    }
    others = {"init", "weights", "schedules", "norm", "lr", "continuation", "before", "context", "options"}
    plain = {name: str(value) for name, value in SPEC.model_dump(exclude=others).items() if name in DEFAULTS}
    assert set(RunSpec.model_fields) - set(plain) == others
    assert spec_of({**DEFAULTS, **plain, **given}) == SPEC


def test_every_option_and_term_of_the_registries_has_a_field() -> None:
    fields = {field.removesuffix("_1") for field in FIELDS}
    assert {f"option_{name}" for name in OPTIONS} <= fields
    assert {f"weight_{name}" for name in TERMS} <= fields
    assert FIELDS["optimizer"].choices == tuple(OPTIMIZERS)


@pytest.mark.parametrize(
    ("changes", "shown", "hidden"),
    [
        ({}, {"option_noise.copies", "continuation_1"}, {"option_noise.level", "continuation_2", "forcing"}),
        ({"option_noise.copies": "8"}, {"option_noise.level"}, {"option_projection.moments"}),
        ({"option_projection.every": "5"}, {"option_projection.moments"}, {"option_noise.level"}),
        ({"weight_anchor": "0.5"}, {"option_anchor.to", "option_anchor.sentences_1"}, set()),
        ({"weight_anchor": "0 linear:1:50"}, {"option_anchor.to"}, {"option_anchor.sentences_2"}),
        ({"weight_anchor": "0.0"}, set(), {"option_anchor.to", "option_anchor.sentences_1"}),
        ({"optimizer": "adamw"}, {"option_adamw.weight_decay"}, {"option_sgd.momentum"}),
        ({"optimizer": "adam"}, set(), {"option_population.candidates"}),
        (
            {"method": "population"},
            {"option_population.candidates", "option_population.sentences_1", "option_population.words"},
            {"option_population.sentences_2"},
        ),
        ({"continuation_1": "A."}, {"continuation_2", "forcing"}, {"continuation_3"}),
        ({"context_3": "A."}, {"context_1", "context_2", "context_4"}, {"context_5"}),
    ],
)
def test_options_are_asked_for_where_they_have_an_effect(
    changes: dict[str, str], shown: set[str], hidden: set[str]
) -> None:
    asked_for = {field.key for field in shown_fields({**DEFAULTS, **changes})}
    assert shown <= asked_for
    assert not hidden & asked_for


def test_options_without_an_effect_yet_are_kept_and_not_checked() -> None:
    """A weight may be set while the run goes on: its options count then."""
    given = {**DEFAULTS, "option_anchor.to": "init", "option_noise.level": "wrong"}
    assert form_errors(given) == {}
    assert spec_of(given).options == {"anchor.to": "init"}


def test_texts_are_split_into_a_field_for_each_sentence() -> None:
    given = {
        **DEFAULTS,
        "target": "One came. Two went.",
        "continuation_1": "Three.",
        "context_1": "It rained. It stopped.",
    }
    split = spec_of({**given, **split_texts(given)})
    assert split.sentences == ("One came.", "Two went.", "Three.")
    assert split.context == ("It rained.", "It stopped.")
    with pytest.raises(UserError, match="continuation: 99 texts; the form takes 64"):
        split_texts({**DEFAULTS, "target": "A dog ran. " * 100})


def test_more_texts_than_the_form_can_hold_do_not_get_lost_in_it() -> None:
    spec = parse_spec(options={"anchor.sentences": ["A dog."] * 65})
    with pytest.raises(UserError, match=r"anchor\.sentences: 65 texts; the form takes 64"):
        values_of(spec)


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec(),
        SPEC,
        parse_spec(
            init={"kind": "random", "seed": 4}, norm="free", lr=0.012345678901234567, weights={"mse": 1e-7}
        ),
    ],
)
def test_a_spec_stands_in_the_fields_without_losing_a_digit(spec: RunSpec) -> None:
    values = values_of(spec, ("loss<0.2", "match"))
    assert tuple(values) == SPEC_KEYS
    assert spec_of({**DEFAULTS, **values}) == spec
    assert order_of({**DEFAULTS, **values}).break_points == ("loss<0.2", "match")


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
        ({"decode_every": "0"}, "decode_every", "greater than or equal to 1"),
        ({"max_decoded_tokens": "0"}, "max_decoded_tokens", "greater than or equal to 1"),
        ({"bundle": "gone"}, "bundle", "'gone' is unknown; there are mini"),
        ({"device": "gpu"}, "device", "auto, cpu, cuda"),
        ({"seed": "1.5"}, "seed", "valid integer"),
        ({"lr": "0.01 soon"}, "lr", "allowed are constant, warmup:N"),
        ({"lr": "cosine:0:100"}, "lr", "'cosine:0:100': should be a valid number"),
        ({"weight_fluency": "0.1 plateau:0.5:3"}, "weight_fluency", "allowed are constant"),
        ({"weight_fluency": "linear:1:0"}, "weight_fluency", "N: allowed is a whole number"),
        ({"option_noise.copies": "-1"}, "option_noise.copies", "a whole number, 0 to 1024"),
        ({"option_noise.copies": ""}, "option_noise.copies", "a whole number, 0 to 1024"),
        ({"option_noise.copies": "2", "option_noise.level": "x"}, "option_noise.level", "a number, 0 to"),
        (
            {"optimizer": "adamw", "option_adamw.weight_decay": "-1"},
            "option_adamw.weight_decay",
            "a number, 0 to 100",
        ),
        ({"continuation_2": "a\x00b"}, "continuation_2", "NUL"),
        ({"clip": "0"}, "clip", "greater than 0"),
        ({"read_every": "0"}, "read_every", "greater than or equal to 1"),
        ({"source_lang": "deu_Latn"}, "source_lang", "bundle mini has eng_Latn"),
        ({"break_points": "match, loss=3"}, "break_points", "'loss=3': allowed are changed, match"),
        ({"session_kind": "a new one", "session_new": " "}, "session_new", "1 to 200 printable"),
        ({"name": "a\tb"}, "name", "1 to 196 printable"),
        ({"name": "n" * 197}, "name", "1 to 196 printable"),
        ({"method": "population", "weight_fluency": "0.5"}, "weight_fluency", "not in a population search"),
        ({"method": "population", "optimizer": "sgd"}, "optimizer", "a population search has adam"),
        ({"method": "population", "clip": "2"}, "clip", "not in a population search"),
        ({"method": "population", "norm": "free"}, "norm", "a population search leaves each"),
        ({"method": "population", "lr": "0.1 plateau:0.5:5"}, "lr", "not in a population search"),
        ({"method": "population", "option_noise.copies": "2"}, "option_noise.copies", "not in a population"),
        (
            {"method": "population", "option_population.seeds": "sentences"},
            "option_population.seeds",
            "none are given as population.sentences",
        ),
        ({"copies": "0"}, "copies", "whole number from 1 to 100"),
        ({"copies": "101"}, "copies", "'101'"),
        ({"copies": "two"}, "copies", "'two'"),
        ({"copies": "9" * 5000}, "copies", "whole number"),
        ({"copies": "2", "seed": str(2**63 - 1)}, "seed", "of the last copy"),
        ({"copies": "2", "init_kind": "random", "init_seed": str(2**63 - 1)}, "init_seed", "last copy"),
    ],
)
def test_a_wrong_field_is_named_by_its_place(changes: dict[str, str], key: str, said: str) -> None:
    errors = form_errors({**DEFAULTS, **changes})
    assert list(errors) == [key]
    assert said in errors[key]
    with pytest.raises(UserError):
        order_of({**DEFAULTS, **changes})


def test_several_wrong_fields_are_all_named() -> None:
    errors = form_errors({**DEFAULTS, "lr": "0", "steps": "x", "target": ""})
    assert set(errors) == {"lr", "steps", "target"}


def test_what_is_not_asked_for_is_not_checked() -> None:
    assert form_errors({**DEFAULTS, "init_seed": "x", "init_run": "x", "session_new": ""}) == {}


def test_copies_differ_in_the_seed_that_counts() -> None:
    given = {**DEFAULTS, "copies": "3", "seed": "7", "name": "dog", "break_points": "ce<1,match, ce<1.0"}
    from_text = order_of(given)
    assert from_text.specs == tuple(RunSpec(seed=seed) for seed in (7, 8, 9))
    assert from_text.names == ("dog 1", "dog 2", "dog 3")
    assert from_text.break_points == ("ce<1", "match")
    random_start = order_of({**given, "init_kind": "random", "init_seed": "4", "name": ""})
    assert random_start.specs == tuple(
        parse_spec(init={"kind": "random", "seed": seed}, seed=7) for seed in (4, 5, 6)
    )
    assert random_start.names == (None, None, None)


@pytest.mark.usefixtures("words_are_tokens")
def test_a_sentence_is_measured_against_the_limits_of_its_bundle() -> None:
    # 128 and 512 positions, of which the encoder needs 2 for control symbols and the decoder 3.
    assert str(measure(Measured("target", "mini", "word " * 125))) == "125 of 125 tokens"
    assert str(measure(Measured("target", "mini", "word " * 126))) == "126 of 125 tokens: too long"
    assert str(measure(Measured("init_text", "mini", "word " * 126))) == "126 of 126 tokens"
    assert measure(Measured("init_text", "mini", "word " * 127)).is_too_long
    assert str(measure(Measured("target", "sonar-llm-100m", "word " * 126))) == "126 of 509 tokens"


def test_a_bundle_whose_tokenizer_is_not_here_says_so() -> None:
    length = measure(Measured("target", "sonar-llm-100m", "word"))
    assert str(length) == "at most 509 tokens; counted when the models are loaded"
    assert not length.is_too_long


def test_nothing_that_a_terminal_obeys_can_be_typed() -> None:
    assert typed_text("a\x1b[2Jb\tc\u202ed\u2066e\x9bf") == "a [2Jb cde f"
    for kept in ("plain", "e\u0301", "می‌خواهم", "👩‍👩‍👧 日本語"):
        assert typed_text(kept) == kept


@pytest.mark.usefixtures("words_are_tokens")
async def test_token_counts_are_shown_while_one_types_and_too_long_a_sentence_is_not_started(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        await expect_shown(user, "3 of 126 tokens", "11 of 125 tokens")
        await user.press("end", *" And more")
        await expect_shown(user, "5 of 126 tokens")
        _editor(user).value = "word " * 127
        await expect_shown(user, "127 of 126 tokens: too long")
        await user.press("tab", "enter")
        await expect_shown(user, "1 field to mend first")
        assert form_of(user).current == "init_text"
        assert control.queued == []


async def test_a_tokenizer_that_is_slow_holds_nothing_up(
    database: Path, control: RecordingControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def count(bundle: object, text: str) -> int:
        assert threading.current_thread() is not threading.main_thread()
        released.wait(20)
        return len(text)

    monkeypatch.setattr("engine.tokens.count_tokens", count)
    async with opened(database, control) as user:
        await _open(user)
        await user.press("end", "!", "!")
        await expect_shown(user, "I like cheese.!!")
        assert "of 126 tokens" not in text(user)
        released.set()
        await expect_shown(user, "16 of 126 tokens")


async def test_the_error_stands_beside_the_field_while_one_types(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        form_of(user).go_to("lr")
        await user.press("end", "backspace", "backspace", "backspace", "backspace", "minus", "1")
        await expect(user, lambda: "greater than 0" in _line(user, "learning rate"))
        await user.press("ctrl+s")
        await expect_shown(user, "1 field to mend first")
        assert control.queued == []
        await user.press("home", "delete")
        await expect(user, lambda: "greater than 0" not in text(user))


async def test_what_there_is_no_room_for_is_said_in_full_under_the_fields(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await _open(user)
        form_of(user).go_to("weight_ce")
        await expect_shown(user, "decoder cross-entropy of the targe…")
        await expect_shown(user, "decoder cross-entropy of the target, nats a token")


async def test_what_control_refuses_is_said_in_the_form_and_can_be_mended(
    database: Path, control: RecordingControl
) -> None:
    control.refusal = "device: cuda:7: there is no such device"
    async with opened(database, control) as user:
        await _open(user)
        await user.press("enter")
        await expect_shown(user, "cuda:7: there is no such device", "New run")
        assert form_of(user).current == "device"
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
        await user.press("up", "r")
        await expect_shown(user, "direction seed")
        assert "I like cheese." not in text(user)
        await user.press("ctrl+s")
        await expect(user, lambda: control.queued)
        assert control.queued[0][0] == parse_spec(init={"kind": "random", "seed": 0})


async def test_on_a_small_terminal_every_field_comes_into_view_with_its_note(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await _open(user)
        assert "keep z" not in text(user)
        seen = []
        for _ in range(len(list(shown_fields(DEFAULTS)))):
            await user.press("tab")
            field = FIELDS[form_of(user).current]
            seen.append(field.key)
            place = _line_number(user, field.label)
            assert field.hint[:20] in "".join(lines(user)[place : place + 2])
            if user.app.focused is _editor(user):
                assert _editor(user).region.y == place
        shown = [key for key in FIELDS if key in seen]
        assert seen == [*shown[3:], *shown, *shown][: len(seen)], "in the order of the form, and round"


async def test_the_pointer_goes_to_a_field_and_the_wheel_scrolls(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await _open(user)
        await user.click(offset=(30, _line_number(user, "steps")))
        await user.press("end", "7")
        await expect(user, lambda: "1007" in _line(user, "steps"))
        pane = user.app.screen.query_one(FormPane)
        before = _line_number(user, "steps")
        pane.scroll_to(y=pane.scroll_y + 5, animate=False, force=True)
        await expect(user, lambda: _line_number(user, "steps") == before - 5)
        await expect(user, lambda: _editor(user).region.y == before - 5)
        pane.scroll_to(y=pane.max_scroll_y, animate=False, force=True)
        await expect_shown(user, "keep z")
        await user.click(offset=(30, _line_number(user, "dtype")))
        await user.click(offset=(30, _line_number(user, "dtype")))
        await expect_shown(user, "‹ bfloat16 ›")


async def test_letters_that_are_keys_elsewhere_are_typed_into_the_form(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        await user.press("end", "space", "q", "n", "p", "s")
        await expect_shown(user, "I like cheese. qnps")
        assert user.app.is_running


async def test_the_last_run_fills_the_form_as_it_was_asked_for(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    recording.begin(session="first", target="Not this one.")
    here = {"init": RunSpec().init, "bundle": "mini", "source_lang": None, "target_lang": None}
    spec = SPEC.model_copy(update=here)
    recording.queue(session="second", **spec.model_dump())
    async with opened(database, control) as user:
        await expect_shown(user, "second")
        await user.press("n")
        await expect_shown(user, "‹ last run: second/1 ›", "The dog was happy.")
        await user.press("enter")
        await expect(user, lambda: control.queued)
        assert control.queued == [(spec, None, None)]


async def test_published_runs_and_specs_of_other_programs_fill_no_form(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    recording.set_origin(recording.begin(lr=0.5), "published")
    odd = recording.begin(lr=0.25)
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE run SET spec = ? WHERE id = ?", ('{"weights": {"ce": 1}, "unheard_of": 1}', odd)
        )
    async with opened(database, control) as user:
        await expect_shown(user, "today")
        await user.press("n")
        await expect_shown(user, "‹ published: decoder CE ›", "0.01")


async def test_texts_out_of_a_database_are_painted_harmlessly_and_kept_until_they_are_edited(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    hostile = "[red]no[/red] \x1b[2J\u202etxt 日本語 👩‍👩‍👧"
    recording.begin(target=hostile, init={"kind": "text", "text": hostile})
    async with opened(database, control) as user:
        await expect_shown(user, "today/1")
        await user.press("n")
        await expect_shown(user, "New run", "[red]no[/red]")
        assert not {"\x1b", "\u202e"} & set(text(user))
        await user.press("tab", "shift+tab", "tab", "end", "!", "enter")
        await expect(user, lambda: control.queued)
        spec = control.queued[0][0]
        assert str(spec.init) == hostile
        assert spec.target == typed_text(hostile) + "!"


async def test_a_story_is_told_sentence_by_sentence_and_a_long_text_is_split(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        form_of(user).go_to("continuation_1")
        await user.press(*"She ran. He sat.")
        await expect_shown(user, "target 3", "forcing")
        form_of(user).go_to("split")
        await user.press("space")
        await expect(user, lambda: "He sat." in _line(user, "target 3"))
        assert "She ran. He sat." not in text(user)
        await user.press("enter")
        await expect(user, lambda: control.queued)
        assert control.queued[0][0] == parse_spec(continuation=["She ran.", "He sat."])


async def test_the_longest_label_is_shown_whole_on_a_small_terminal(
    database: Path, control: RecordingControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = "weight of something long"
    monkeypatch.setitem(FIELDS, "lr", replace(FIELDS["lr"], label=label))
    groups = tuple((title, tuple(FIELDS[field.key] for field in fields)) for title, fields in GROUPS)
    monkeypatch.setattr("tui.widgets.form.GROUPS", groups)
    async with opened(database, control, size=SMALL) as user:
        await _open(user)
        form_of(user).go_to("lr")
        await expect_shown(user, f"{label} 0.01 ")
        await user.press("5")
        await expect_shown(user, f"{label} 0.015 ")


async def test_options_come_with_what_switches_them_on(database: Path, control: RecordingControl) -> None:
    async with opened(database, control, size=SMALL) as user:
        await _open(user)
        form_of(user).go_to("option_noise.copies")
        await user.press("8")
        await expect(user, lambda: "noise copies      08" in text(user))
        await user.press("home", "delete", "tab", "end", "5")
        await expect(user, lambda: "level           0.15" in text(user))
        form_of(user).go_to("weight_fluency")
        await expect_shown(user, "weight of fluency 0 ")
        await user.press("end", *" linear:0.5:50")
        await user.press("enter")
        await expect(user, lambda: control.queued)
        assert control.queued[0][0] == parse_spec(
            options={"noise.copies": 8, "noise.level": 0.15}, schedules={"fluency": "linear:0.5:50"}
        )


async def test_copies_are_queued_and_the_first_is_selected(database: Path, control: RecordingControl) -> None:
    async with opened(database, control) as user:
        await _open(user)
        form_of(user).set_values({"name": "dog", "break_points": "match"})
        form_of(user).go_to("copies")
        await user.press("end", "backspace", "3")
        await expect_shown(user, "seeds from 0 on")
        await user.press("enter")
        await expect(user, lambda: _selected_name(user) == "dog 1")
        assert control.queued == [(RunSpec(seed=seed), None, f"dog {seed + 1}") for seed in range(3)]
        assert control.break_points == [("match",)] * 3


async def test_copies_that_cannot_be_saved_stay_in_the_form(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await _open(user)
        form_of(user).set_values({"copies": "5", "seed": "10"})
        control.refusal = "database: the disk is full"
        await user.press("enter")
        await expect_shown(user, "New run", "database: the disk is full")
        assert control.queued == []
        control.refusal = None
        await user.press("enter")
        await expect(user, lambda: "New run" not in text(user))
        assert [spec.seed for spec, _, _ in control.queued] == [10, 11, 12, 13, 14]


async def test_a_session_is_todays_an_existing_or_a_new_one(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    for session in ("older", "newer"):
        recording.queue(session=session)
    async with opened(database, control) as user:
        await expect_shown(user, "newer")
        for keys, shown, wanted in (
            ((), "‹ today's date ›", None),
            (("a",), "‹ today ›", "today"),
            (("a", "tab", "o"), "‹ older ›", "older"),
            (("a", "a", "tab", *"other"), "its name", "other"),
        ):
            await user.press("n")
            await expect_shown(user, "New run")
            form_of(user).go_to("session_kind")
            await user.press(*keys)
            await expect_shown(user, shown)
            await user.press("enter")
            await expect(user, lambda: "New run" not in text(user))
            assert control.queued[-1][1] == wanted


async def test_a_database_that_cannot_be_read_is_named_in_the_form(tmp_path: Path) -> None:
    database = tmp_path / "notes.txt"
    database.write_text("not a database, but long enough to have a header")
    async with opened(database) as user:
        await user.press("n")
        await expect_shown(user, "New run", "‹ published: decoder CE ›")
        await expect_said(user, "is not an SQLite database")


async def test_keys_of_the_users_own_work_in_the_form_too(database: Path, control: RecordingControl) -> None:
    own = Settings(keys={"save_preset": "ctrl+k", "form.previous_field": "ctrl+e"})
    app = ExplorerApp(database, settings=own, load_control=lambda: control)
    async with app.run_test(size=MEDIUM, notifications=True) as user:
        await _open(user)
        await expect_shown(user, "ctrl+k save as preset")
        await user.press("home", "ctrl+k")
        await expect_shown(user, "Save as a preset", "I like cheese.")
        await user.press("escape", "ctrl+e", "ctrl+e")
        assert form_of(user).current == "source"


async def test_what_was_typed_is_what_the_database_holds(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_control, "ensure_worker", lambda database, device: None)
    app = ExplorerApp(database, load_control=lambda: engine_control)
    async with app.run_test(size=MEDIUM, notifications=True) as user:
        await _open(user)
        form_of(user).go_to("target")
        await user.press("end", *" Once", "tab", "backspace", "0", "tab", "backspace", "1")
        form_of(user).go_to("break_points")
        await user.press(*"match,loss<0.20")
        form_of(user).go_to("copies")
        await user.press("backspace", "2", "enter")
        await expect_shown(user, "cosine loss")
        with Reader(database) as reader:
            first, second = reader.runs()
        for run, seed in ((first, 0), (second, 1)):
            spec = RunSpec(target=f"{PUBLISHED_TARGET} Once", weights={"cosine": 1.0}, seed=seed)
            assert RunSpec.model_validate_json(run.spec) == spec
            assert run.break_points == ("match", "loss<0.2")
            assert run.status is Status.QUEUED


async def test_a_damaged_file_of_presets_is_named_and_never_written_over(
    database: Path, control: RecordingControl
) -> None:
    save_preset("mine", Preset(RunSpec(lr=0.5)))
    damaged = presets_file().read_text().replace('"lr": 0.5', '"lr": -1')
    presets_file().write_text(damaged)
    async with opened(database, control, size=LARGE) as user:
        await _open(user)
        await expect_said(user, "presets.json is damaged", "'mine': lr: -1: should be greater than 0")
        await user.press("ctrl+w")
        await expect_shown(user, "Save as a preset")
        await user.press("x", "enter")
        await expect(user, lambda: "Save as a preset" not in text(user))
        await expect_said(user, "presets.json is damaged")
        assert presets_file().read_text() == damaged
        await user.press("enter")
        await expect(user, lambda: control.queued == [(RunSpec(), None, None)])


async def _open(user: User) -> None:
    await expect_shown(user, "No runs yet")
    await user.press("n")
    await expect_shown(user, "New run", "I like cheese.")


def _editor(user: User) -> Input:
    return user.app.screen.query_one("#editor", Input)


def _selected_name(user: User) -> str | None:
    view = runs_of(user).selected
    return view.record.name if view else None


def _line(user: User, part: str) -> str:
    return lines(user)[_line_number(user, part)]


def _line_number(user: User, part: str) -> int:
    """Of the line that contains this; of those, of the one that it begins."""
    numbers = [number for number, line in enumerate(lines(user)) if part in line]
    return next((number for number in numbers if lines(user)[number].startswith(f"│ {part}")), numbers[0])


async def test_the_arrows_leave_a_choice_where_the_form_scrolls(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "No runs yet")
        await user.press("n")
        await expect_shown(user, "New run", "learning rate")
        for current in ("init_kind", "source", "measures", "vectors"):
            await user.press("up")
            assert form_of(user).current == current
        await user.press("down", "down", "down")
        assert form_of(user).current == "init_kind"
