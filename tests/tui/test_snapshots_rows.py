"""Pictures of the trajectory table in its ways of showing rows, and of an opened row."""

from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from engine.spec import PUBLISHED_TARGET
from tests.tui.pictures import SIZES, Compare, app_on
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import expect, expect_shown, table_of, text

_TEXTS = (
    "I eat cheese every day.",
    "I eat cheese and a girl named Lily.",
    "Once upon a time, there was a girl named Lily.",
    "Once upon a day, there was a little girl named Lily.",
    PUBLISHED_TARGET,
)
_Z_TEXTS = (
    '"Yeah" is "Yeah".',
    '"Yes" is a Hebrew word.',
    "(Yes) One lot is ready.",
    "(Yes) One letter.",
    "(Yes)",
)
_HOSTILE = "[b]no[/b] \x1b[2J\u202etxt.exe 日本語の文章、한국어 👩‍👩‍👧 e" + "\u0301" * 9 + " " + "Lily " * 400
_TOKENS = 16
"""Of the published target with its language and its end, in the embedded bundle."""


def _record(recording: Recording) -> int:
    """A run with two terms, decoded at every fifth step, whose prediction changes five times."""
    run = recording.begin(weights={"ce": 1, "cosine": 0.1})
    for step in range(60):
        number = min(step // 10, len(_TEXTS) - 1)
        loss = 3.5 / (step + 1)
        values: dict[str, object] = {"loss": loss, "terms": {"ce": loss, "cosine": -0.05}}
        if step % 5 == 0:
            words = {"decoded_prediction": _TEXTS[number], "decoded_z": _Z_TEXTS[number]}
            values |= words | {"match": _TEXTS[number] == PUBLISHED_TARGET}
        if step == 30:
            recording.event(run, 30, "paused", "after 5 steps")
            recording.event(run, 30, "weight", "cosine 0.1 → 0.3")
            recording.event(run, 30, "extended", "100 → 150")
            recording.event(run, 30, "break-point", "set: loss<0.1")
            recording.event(run, 30, "resumed")
        if step == 35:
            recording.event(run, 35, "break-point", "met: loss<0.1: 0.09722 at step 34")
        losses = [round(0.001 + loss * (index % 5) / 10, 4) for index in range(_TOKENS)]
        recording._recorder.record_step(row(run, step, **values), {}, token_losses=losses)
    return run


async def _shown(user: Pilot[object], *keys: str) -> None:
    await expect_shown(user, "59 ")
    await user.press("tab", *keys)
    await user.pause()


@SIZES
def test_words_that_changed(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    _record(recording)

    async def shown(user: Pilot[object]) -> None:
        await _shown(user, "left_square_bracket", "left_square_bracket", *["down"] * 8)

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_words_that_differ_from_the_target(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    _record(recording)

    async def shown(user: Pilot[object]) -> None:
        await _shown(user, "home", "d")
        await expect_shown(user, "≠ target")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_folded_with_events(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    _record(recording)

    async def shown(user: Pilot[object]) -> None:
        await _shown(user, "z", "up")
        await expect_shown(user, "break-point met: loss<0.1")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_opened_row(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int], monkeypatch: Any
) -> None:
    pieces = ["__eng_Latn__", *(" " + word for word in PUBLISHED_TARGET.split()), "ly", ".", "</s>"]
    pieces += [" x"] * (_TOKENS - len(pieces))
    monkeypatch.setattr("engine.tokens.target_pieces", lambda *_, **__: pieces)
    _record(recording)

    async def shown(user: Pilot[object]) -> None:
        await _shown(user)
        table_of(user).go_to_step(20)
        await user.press("enter")
        await expect_shown(user, "step 20 of 100", "▲")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_opened_row_that_was_not_decoded(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "24 ")
        await user.press("tab", "enter")
        await expect_shown(user, "the last decoded one", "not recorded with this row")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_opened_row_with_hostile_texts(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin(target="[red]markup[/red] \x1b[31m日本語")
    recording.steps(run, [row(run, 0, decoded_prediction=_HOSTILE, decoded_z=_HOSTILE, match=False)])

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "[b]no[/b]")
        await user.press("tab", "enter")
        await expect_shown(user, "step 0 of 100")
        await expect(user, lambda: "reading" not in text(user))

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_what_to_copy(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 21))

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "20 ")
        await user.press("tab", "enter")
        await expect_shown(user, "not recorded with this row")
        await user.press("c")
        await expect_shown(user, "copy from step 20")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_where_to_write_z(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 21))

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "20 ")
        await user.press("tab", "enter")
        await expect_shown(user, "not recorded with this row")
        await user.press("x")
        await expect_shown(user, "write z of step 20")
        user.app.screen.query_one("#path", Input).value = "z.txt"
        await user.press("enter")
        await expect_shown(user, "should end in one of")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)
