"""Pictures of the dialogs about the selected run, and of the log; none depends on the time or on who asks."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.store.records import Status
from tests.tui.pictures import SIZES, Compare, app_on, sizes
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import LARGE, MEDIUM, SMALL, expect, expect_shown, text

_LOG = """\
2026-01-02 03:04:01 [77] run 1: loading mini
2026-01-02 03:04:02 [77] run 1: started at step 0
Traceback (most recent call last):
  File "engine/worker.py", line 190, in _advance
    (step,) = run.optimization.advance()
  File "engine/optimizer.py", line 141, in advance
    loss.sum().backward()
torch.OutOfMemoryError: CUDA out of memory. [red]Tried[/red] to allocate \x1b[31m2.00 GiB.
2026-01-02 03:04:06 [77] run 1: failed: torch.OutOfMemoryError: CUDA out of memory
"""
_REASON = "torch.OutOfMemoryError: CUDA out of memory; the whole error is in the worker's log"


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day and the user's name are not part of the picture."""
    for module in ("tui.screens.log", "tui.screens.lr_dialog"):
        monkeypatch.setattr(f"{module}.moment_text", lambda moment_s, now_s: "14:02:07")
    monkeypatch.setattr("engine.store.writing.who", lambda: "ada@gpu-box")


def _running(recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    recording.set_lr(run, 25, 0.01, 0.02)
    recording.set_lr(run, 25, 0.02, 0.015)
    recording.set_break_points(run, 25, "match", "loss<0.2")
    recording.resume(run, 25, {"until": 60})


async def _press(user: Pilot[object], *keys: str, shown: str) -> None:
    await expect_shown(user, "● running", "pauses after step 60", "break-point set: loss<0.2")
    await user.press(*keys)
    await expect_shown(user, shown)


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        pytest.param(("f",), "goes on for 10 more", id="more-steps"),
        pytest.param(("g",), "until step", id="until-step"),
        pytest.param(("g", "2", "0"), "is at step 24 already", id="until-a-step-that-is-past"),
        pytest.param(("e",), "100 → 200 steps", id="extend"),
        pytest.param(("L",), "0.01 → 0.02 ", id="lr"),
        pytest.param(("L", "minus", "1"), "above 0 and at most 1000", id="lr-that-is-wrong"),
        pytest.param(("w", "down", "0", "full_stop", "1"), "cosine 0 → 0.1", id="weights"),
        pytest.param(("w", "0"), "needs a weight above 0", id="weights-all-0"),
        pytest.param(("b",), "› match", id="break-points"),
        pytest.param(("b", "l", "o", "s", "s"), "allowed are changed", id="break-point-that-is-wrong"),
        pytest.param(("Q",), "Leave and stop the worker?", id="leave-and-stop"),
        pytest.param(("s",), "Stop run", id="stop"),
    ],
)
def test_dialog(
    snap_compare: Compare, database: Path, recording: Recording, keys: tuple[str, ...], shown: str
) -> None:
    _running(recording)

    async def pressed(user: Pilot[object]) -> None:
        await _press(user, *keys, shown=shown)

    assert snap_compare(app_on(database), terminal_size=SMALL, run_before=pressed)


@sizes(MEDIUM, LARGE)
def test_dialog_on_a_larger_screen(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    _running(recording)

    async def pressed(user: Pilot[object]) -> None:
        await _press(user, "L", shown="0.01 → 0.02 ")

    assert snap_compare(app_on(database), terminal_size=size, run_before=pressed)


@SIZES
def test_log_of_events(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    _running(recording)

    async def pressed(user: Pilot[object]) -> None:
        await _press(user, "o", shown="log of the worker of cpu")
        await expect(user, lambda: "resumed" in text(user))

    assert snap_compare(app_on(database), terminal_size=size, run_before=pressed)


@SIZES
def test_log_of_a_failed_run(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 5))
    recording.end(run, 4, Status.FAILED, _REASON)
    database.with_suffix(".log").write_text(_LOG)

    async def pressed(user: Pilot[object]) -> None:
        await expect_shown(user, "✗ failed", "OutOfMemoryError")
        await user.press("o")
        await expect_shown(user, "failed at step 4", "[red]Tried[/red]")
        await user.press("tab")
        await expect_shown(user, "03:04:01 [77] run 1: loading mini")

    assert snap_compare(app_on(database), terminal_size=size, run_before=pressed)
