"""Steering the selected run: what its state rules out, what is pending, and where it will pause."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from engine.objective import TERMS
from engine.store.reading import Reader
from engine.store.records import CommandRecord, Status
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import MEDIUM, SMALL, User, expect, expect_said, expect_shown, lines, opened, text
from tui.pending import Pending, describe


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("pause", {}, "pause"),
        ("resume", {}, "resume"),
        ("resume", {"steps": 1}, "1 step"),
        ("resume", {"steps": 20}, "20 steps"),
        ("resume", {"until": 50}, "on to step 50"),
        ("set", {"lr": 0.0125}, "lr 0.0125"),
        ("set", {"weights": {"cosine": 0.1, "ce": 0.0}}, "weight of cosine 0.1, weight of ce 0"),
        ("set", {"lr": 0.5, "weights": {"mse": 2.0}}, "lr 0.5, weight of mse 2"),
        ("set", {"lr": "cosine:0:100"}, "lr cosine to 0 over 100 steps"),
        ("set", {"weights": {"fluency": "linear:0.5:50"}}, "weight of fluency linear to 0.5 over 50 steps"),
        ("extend", {"steps": 50}, "50 steps more"),
        ("break", {"when": "loss<0.2"}, "break on loss<0.2"),
        ("unbreak", {"when": "match"}, "no break on match"),
    ],
)
def test_a_command_in_a_few_words(kind: str, arguments: dict[str, object], words: str) -> None:
    assert describe(kind, arguments) == words


def test_weights_that_are_pending_are_what_the_next_change_builds_on() -> None:
    pending = Pending()
    pending.ask(1, "set", {"weights": {"cosine": 0.1}})
    pending.ask(1, "set", {"lr": 0.5})
    pending.ask(1, "set", {"weights": {"ce": 0.5}})
    pending.ask(2, "set", {"weights": {"mse": 3.0}})
    assert pending.weights(1, {"ce": 1.0}) == {"ce": 0.5, "cosine": 0.1}


def test_a_schedule_that_is_pending_begins_with_the_number_before_it_and_a_number_ends_it() -> None:
    pending = Pending()
    pending.ask(1, "set", {"lr": 0.5})
    pending.ask(1, "set", {"lr": "cosine:0:100", "weights": {"ce": "linear:2:10", "mse": 3.0}})
    assert pending.lr(1, 0.01) == 0.5
    assert pending.weights(1, {"ce": 1.0}) == {"ce": 1.0, "mse": 3.0}
    in_force = {"mse": "warmup:5"}
    assert pending.schedules(1, in_force) == {"lr": "cosine:0:100", "ce": "linear:2:10"}
    pending.ask(1, "set", {"lr": 0.25})
    assert pending.lr(1, 0.01) == 0.25
    assert pending.schedules(1, in_force) == {"ce": "linear:2:10"}
    pending.ask(1, "set", {"lr": "0.125:cosine:0:9", "weights": {"ce": "4:warmup:2"}})
    assert (pending.lr(1, 0.01), pending.weights(1, {"ce": 1.0})["ce"]) == (0.125, 4)
    assert pending.schedules(1, in_force) == {"lr": "cosine:0:9", "ce": "warmup:2"}


@pytest.mark.parametrize(
    ("commands", "halt"),
    [
        ([("resume", {"steps": 5}, 12)], 16),
        ([("resume", {"until": 50}, 12)], 50),
        ([("resume", {"steps": 500}, 12)], 100),
        ([("resume", {"until": 50}, 12), ("resume", {}, 20)], None),
        ([("resume", {"until": 50}, 12), ("pause", {}, 20)], None),
        ([("resume", {"until": 50}, 12), ("set", {"lr": 1.0}, 20)], 50),
        ([("resume", {"until": 50}, 12), ("resume", {"steps": 1}, 14)], 14),
        ([], None),
    ],
)
def test_the_newest_resume_says_where_a_run_pauses(
    recording: Recording, commands: list[tuple[str, dict[str, object], int]], halt: int | None
) -> None:
    run = recording.begin()
    pending = Pending()
    pending.read(run, tuple(_applied(number, *command) for number, command in enumerate(commands, 1)))
    with Reader(recording.path) as reader:
        assert pending.halt(reader.run(run)) == halt
        recording.end(run, 20, Status.STOPPED)
        assert pending.halt(reader.run(run)) is None


async def test_a_pause_to_come_and_break_points_are_shown(database: Path, recording: Recording) -> None:
    async with _running(database, recording) as user:
        recording.set_break_points(1, 25, "loss<0.2", "match")
        recording.resume(1, 25, {"steps": 10})
        recording.set_lr(1, 25, 0.01, 0.02)
        await expect_shown(user, "pauses after step 34, breaks: loss<0.2, match", "0.01 → 0.02")


async def test_a_rejection_is_shown_with_its_reason(database: Path, recording: Recording) -> None:
    async with _running(database, recording) as user:
        await user.press("g", *"30", "enter")
        await expect_shown(user, "pending: on to step 30")
        with Reader(database) as reader:
            await expect(user, lambda: reader.commands(1, status="pending"))
            (command,) = reader.commands(1, status="pending")
        recording.reject(command, "until: 30: the run is at step 31 already")
        await expect_shown(user, "rejected: on to step 30: until: 30: the run is at step", "31 already")
        assert "pending" not in text(user)


async def test_what_the_control_refuses_is_said_and_no_longer_pending(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    async with _running(database, recording, control) as user:
        control.refusal = "the disk is full"
        await user.press("e", "enter")
        await expect_shown(user, "the disk is full")
        assert "pending" not in text(user)


@pytest.mark.parametrize(
    ("key", "typed", "wrong"),
    [
        ("f", "0", "steps: 0: should be 1 or more"),
        ("f", "ab", "steps: ab: should be a whole number"),
        ("f", "-3", "steps: -3: should be 1 or more"),
        ("g", "101", "until: 101: the run ends with step 100"),
        ("g", "", "step: empty: should be a whole number"),
        ("e", "0", "steps: 0: should be 1 or more"),
        ("e", "99999999", "less than or equal to 10000000"),
        ("L", "0", "lr: 0: a learning rate is above 0 and at most 1000"),
        ("L", "nan", "lr: nan: a learning rate is above 0"),
        ("L", "[b]", "lr: '[b]': should be a number"),
        ("w", "-1", "ce=-1; a weight is 0 or more"),
        ("w", "much", "ce: 'much': should be a number, or a schedule: allowed are constant"),
        ("w", "linear:-1:5", "END: allowed is a number, 0 or more"),
        ("L", "cosine:0", "lr: 'cosine:0': should be a number, or a schedule: allowed are"),
        ("w", "nan", "should be a finite number"),
        ("w", "1", "weights: they are so already"),
        ("b", "", "break-point: ''"),
        ("b", "loss<", "break-point: 'loss<': allowed are"),
        ("b", "match", "break-point: match: is set already"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_asked_for(
    database: Path, recording: Recording, control: RecordingControl, key: str, typed: str, wrong: str
) -> None:
    async with _running(database, recording, control) as user:
        recording.set_break_points(1, 25, "match")
        await expect_shown(user, "breaks: match")
        await user.press(key)
        await expect_shown(user, "esc closes")
        await user.press("backspace", *typed, "enter")
        await expect(user, lambda: wrong in " ".join(text(user).replace("│", " ").split()))
        await user.press("escape")
        await expect(user, lambda: "esc closes" not in text(user))
        assert control.requested == []


async def test_schedules_are_asked_for_in_the_dialogs_and_shown_in_words(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    async with _running(database, recording, control) as user:
        await user.press("L")
        await expect_shown(user, "in force 0.01; or cosine:0:100")
        await user.press("end", *["backspace"] * 8, *"cosine", "colon", "0", "colon", *"100")
        await expect_shown(user, "→ cosine to 0 over 100 steps")
        await user.press("enter")
        await expect_shown(user, "pending: lr cosine to 0 over 100 steps")
        await user.press("w")
        await expect_shown(user, "weights of the loss terms")
        await user.press(*["down"] * 4, *"linear", "colon", "0", "full_stop", "5", "colon", *"50")
        await expect_shown(user, "fluency 0 → linear to 0.5 over 50 steps")
        await user.press("enter")
        await expect(user, lambda: len(control.requested) == 2)
        assert control.requested == [
            (1, "set", {"lr": "cosine:0:100"}),
            (1, "set", {"weights": {"fluency": "linear:0.5:50"}}),
        ]


async def test_a_schedule_may_say_what_it_begins_with(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    async with _running(database, recording, control) as user:
        await user.press("L")
        await expect_shown(user, "in force 0.01; or cosine:0:100")
        typed = ["space" if sign == " " else "colon" if sign == ":" else sign for sign in "5 cosine:0:100"]
        await user.press("end", *["backspace"] * 8, *typed)
        await expect_shown(user, "→ 5, cosine to 0 over 100 steps")
        await user.press("enter")
        await expect_shown(user, "pending: lr 5, cosine to 0 over 100 steps")
        assert control.requested == [(1, "set", {"lr": "5:cosine:0:100"})]
        await user.press("L")
        await expect_shown(user, "in force 0.01", "0.01 → 5 ")


async def test_schedules_in_force_stand_in_the_header_and_in_the_dialogs(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(schedules={"lr": "cosine:0:100", "prior": "linear:0.5:50"})
    recording.steps(run, published_like_rows(run, 25))
    async with opened(database, size=MEDIUM) as user:
        await expect_shown(user, "● running", "cosine:0:100")
        await user.press("w")
        await expect_shown(user, "weights of the loss terms", "in force 0, linear to 0.5 over 50 steps")
        await user.press(*["down"] * 5, "1", "enter")
        await expect(user, lambda: "weights of the loss terms" not in text(user))
        await expect_shown(user, "pending: weight of prior 1")
        await user.press("L")
        await expect_said(user, "cosine to 0 over 100 steps")


async def test_all_terms_can_be_reached_on_a_small_terminal(database: Path, recording: Recording) -> None:
    async with _running(database, recording) as user:
        await user.press("w")
        await expect_shown(user, "weights of the loss terms", "esc closes")
        for name in TERMS:
            await expect(user, partial(_is_in_view, user, name))
            await user.press("down")


def _is_in_view(user: User, name: str) -> bool:
    """Whether the field of a term has the focus, and stands on the screen with its label."""
    focused = user.app.focused
    return focused is not None and focused.id == name and f" {name} " in lines(user)[focused.region.y]


@pytest.mark.parametrize("key", ["space", "plus", "minus", "s", "full_stop", "f", "g", "L", "w", "b"])
async def test_a_finished_run_says_why_not(database: Path, recording: Recording, key: str) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 101))
    recording.end(run, 100, Status.FINISHED)
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "■ finished")
        await user.press(key)
        await expect_shown(user, "run 1: has finished its 100 steps; e adds some")


@pytest.mark.parametrize("key", ["full_stop", "f", "g", "e", "L", "w", "b"])
async def test_a_published_run_can_only_be_looked_at(database: Path, recording: Recording, key: str) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 3))
    recording.set_origin(run, "published")
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "● published")
        await user.press(key)
        await expect_shown(user, "run 1: is published, and was never run here")


@pytest.mark.parametrize("key", ["full_stop", "f", "g", "e", "L", "w", "b", "o"])
async def test_without_a_run_they_say_so(tmp_path: Path, key: str) -> None:
    async with opened(tmp_path / "none.db", size=SMALL) as user:
        await expect_shown(user, "No runs yet")
        await user.press(key)
        await expect_shown(user, "There is no run yet: press p")


async def test_many_break_points_keep_the_marked_one_in_view(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    recording.set_break_points(run, 25, *(f"loss<0.{number}" for number in range(11, 31)))
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "breaks: loss<0.11")
        await user.press("b")
        await expect_shown(user, "20 set", "› loss<0.11")
        await user.press(*["down"] * 25)
        await expect_shown(user, "› loss<0.30")
        assert "enter adds" in text(user)


async def test_leaving_without_anything_going_on_asks_nothing(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    async with _running(database, recording, control) as user:
        recording.end(1, 24, Status.STOPPED)
        await expect_shown(user, "□ stopped")
        await user.press("Q")
        await expect(user, lambda: not user.app.is_running)
        assert control.stopped_workers == ["cpu"]


async def test_a_worker_that_cannot_be_asked_keeps_the_screen_open(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    async with _running(database, recording, control) as user:
        control.refusal = "database: is read-only"
        await user.press("Q")
        await expect_shown(user, "Leave and stop the worker?")
        await user.press("y")
        await expect_shown(user, "database: is read-only")
        assert user.app.is_running


@asynccontextmanager
async def _running(
    database: Path, recording: Recording, control: RecordingControl | None = None
) -> AsyncIterator[User]:
    """The app on a run at step 24 of 100."""
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "● running")
        yield user


def _applied(number: int, kind: str, arguments: dict[str, object], step: int) -> CommandRecord:
    return CommandRecord(
        id=number,
        run=1,
        device="cpu",
        kind=kind,
        arguments=arguments,
        requested=0.0,
        who="somebody",
        status="applied",
        applied_step=step,
        reason=None,
    )


async def test_a_bound_that_is_passed_already_says_so(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, [row(run, 0, loss=0.1, similarity=0.2)])
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "● running")
        await user.press("b")
        await expect_shown(user, "None is set")
        await user.press(*"loss", "less_than_sign", "1")
        await expect_shown(user, "pauses when loss<1 comes true again: it is true now")
        await user.press(*["backspace"] * 6, *"similarity", "greater_than_sign", "1")
        await expect_shown(user, "pauses when similarity>1 comes true")
        assert "true now" not in text(user)


async def test_more_steps_than_are_left_go_on_to_the_last(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 96))
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "step 95 of 100")
        await user.press("f")
        await expect_shown(user, "goes on to its last step, 100")
        await user.press("backspace", "backspace", "4")
        await expect_shown(user, "goes on for 4 more, then pauses")


async def test_a_message_takes_the_place_of_the_one_before(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.end(run, 0, Status.STOPPED)
    async with opened(database) as user:
        await expect_shown(user, "□ stopped")
        for _ in range(3):
            await user.press("space")
            await expect_shown(user, "has ended (stopped); r goes on with it")
        assert text(user).count("has ended (stopped)") == 1
        await user.press("t")
        await expect_shown(user, "To keep it: theme =")
        assert "has ended (stopped)" not in text(user)


async def test_the_log_offers_to_try_again_only_where_that_is_possible(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    async with opened(database) as user:
        await expect_shown(user, "● running")
        await user.press("o")
        await expect_shown(user, "esc close")
        assert "try again" not in text(user)
        recording.end(run, 0, Status.STOPPED)
        await expect_shown(user, "r try again")
