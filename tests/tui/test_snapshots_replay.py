"""Pictures of a replay; the clock stands where the picture is taken."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.store.records import Status
from tests.tui.pictures import SIZES, Compare, app_on
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import SMALL, expect_shown


def _finished(recording: Recording) -> None:
    run = recording.begin()
    rows = [step._replace(lr=0.01 if step.step < 40 else 0.02) for step in published_like_rows(run, 101)]
    recording.steps(run, rows[:40])
    recording.set_lr(run, 40, 0.01, 0.02)
    recording.steps(run, rows[40:])
    recording.end(run, 100, Status.FINISHED)


async def _go_to(user: Pilot[object], step: str) -> None:
    await expect_shown(user, "■ finished")
    await user.press("R")
    await expect_shown(user, "step 0/100")
    await user.press("comma", "g", *step, "enter")
    await expect_shown(user, f"step {step}/100")


@SIZES
def test_replay(snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]) -> None:
    _finished(recording)

    async def replayed(user: Pilot[object]) -> None:
        await _go_to(user, "47")

    assert snap_compare(app_on(database), terminal_size=size, run_before=replayed)


@pytest.mark.parametrize("theme", ["light", "colour-blind", "ansi"])
def test_replay_in_a_theme(snap_compare: Compare, database: Path, recording: Recording, theme: str) -> None:
    _finished(recording)

    async def replayed(user: Pilot[object]) -> None:
        await _go_to(user, "47")

    assert snap_compare(app_on(database, theme=theme), terminal_size=SMALL, run_before=replayed)


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        pytest.param(("g", "1", "0", "1"), "was recorded from step 0 to 100", id="step-that-is-not-there"),
        pytest.param(("end",), "at the end", id="end"),
        pytest.param(("s",), "cannot be steered in a replay", id="steering"),
        pytest.param(("C",), "REPLAY today/1", id="chart"),
    ],
)
def test_replay_after_keys(
    snap_compare: Compare, database: Path, recording: Recording, keys: tuple[str, ...], shown: str
) -> None:
    _finished(recording)

    async def pressed(user: Pilot[object]) -> None:
        await _go_to(user, "20")
        await user.press(*keys)
        await expect_shown(user, shown)

    assert snap_compare(app_on(database), terminal_size=SMALL, run_before=pressed)
