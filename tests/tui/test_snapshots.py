"""Pictures of the screen; none depends on the time or on the day."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.store.records import Status
from tests.tui.pictures import SIZES, Compare, app_on
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import expect_shown

_HOSTILE_TARGET = "[red]markup[/red] \x1b[31mescape\x1b[0m \u202etxt.exe 日本語 👩‍👩‍👧"
_HOSTILE_TEXTS = (
    "[bold]not bold[/bold] [@click=app.quit]no link[/]",
    "\x1b[2J\x1b]0;title\x07 line\nbreak\ttab\rreturn",
    "\u202eright to left\u202c \u2066isolated\u2069 \u200bzero\u200dwidth\ufeff",
    "日本語の文章、한국어 문장 " * 20,
    "👩‍👩‍👧 👍🏽 🇫🇷 ❤️ e" + "\u0301" * 50,
    "Lily " * 2000,
)


@SIZES
def test_empty(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "No runs yet")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)


@SIZES
def test_running(snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]) -> None:
    earlier = recording.begin(weights={"cosine": 1})
    recording.steps(earlier, [row(earlier, step, loss=-0.5 + 0.45 / (step + 1)) for step in range(101)])
    recording.end(earlier, 100, Status.FINISHED)
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 23))
    recording.set_lr(run, 23, 0.01, 0.0125)
    recording.steps(run, published_like_rows(run, 44)[23:])
    recording.ask(run, "pause")
    recording.queue()

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "○ queued", "worker of cpu")
        await user.press("down")
        await expect_shown(user, "pending: pause", "43      0.1027")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_paused(snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]) -> None:
    run = recording.begin(weights={"ce": 1, "cosine": 0.1}, name="hybrid")
    recording.steps(run, published_like_rows(run, 12))
    recording.pause(run, 12)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "── paused ─", "space goes on")
        await user.press("tab", "up")
        await user.pause()

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_failed(snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]) -> None:
    run = recording.begin(lr=500.0)
    recording.steps(run, [*published_like_rows(run, 3), row(run, 3, loss=None, similarity=None)])
    reason = "step 3: the loss is not finite; a smaller learning rate than 500 keeps it finite, as a rule"
    recording.end(run, 3, Status.FAILED, reason)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "✗ failed", "not finite")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_queued_without_a_worker(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    recording.queue(name="waits")

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "No steps yet", "not there yet")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_first_step_not_finite(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin(norm="free")
    recording.steps(run, [row(run, 0, loss=None, similarity=None, grad_norm=None, lr=None)])
    recording.end(run, 0, Status.FAILED, "step 0: the loss is not finite")

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "✗ failed", "not finite")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_crashed(snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 15))
    recording.abandon(run)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "! crashed", "r goes on from the last checkpoint")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_hostile_texts(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin(target=_HOSTILE_TARGET, init={"kind": "text", "text": "[b]\x1b[1m\u2028init"})
    recording.steps(
        run,
        [
            row(run, step, decoded_prediction=text, decoded_z=text[::-1], match=False)
            for step, text in enumerate(_HOSTILE_TEXTS)
        ],
    )
    recording.event(run, 6, "lr", "[red]0.01\x1b[31m → 0.02")

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "[bold]not bold[/bold]", "lr [red]0.01␛[31m → 0.02")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_form(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.tokens.count_tokens", lambda bundle, text: len(text.split()))

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "No runs yet")
        await user.press("n")
        await expect_shown(user, "New run", "I like cheese.")
        await user.press("tab", "tab", "backspace")
        await expect_shown(user, "weight of ce")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)


@SIZES
def test_help(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "No runs yet")
        await user.press("question_mark")
        await expect_shown(user, "Describe a new run and start it")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)
