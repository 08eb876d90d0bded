"""Pictures of a comparison: its five parts, and the list with marked runs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from engine.spec import PUBLISHED_TARGET
from engine.store.records import Status
from tests.tui.pictures import SIZES, Compare, app_on
from tests.tui.recording import Recording, row
from tests.tui.screen import expect_shown

_PREDICTIONS = (
    "Once upon a time, there was a big, mean dog.",
    PUBLISHED_TARGET,
    "[b]no[/b] \x1b[2J\u202etxt.exe 日本語の文章、한국어 👩‍👩‍👧 e" + "\u0301" * 9,
)
_NAMES = ("Cosine", "Decoder CE", None)
_PARTS = {
    "1": "compare: loss",
    "2": "fields differ",
    "3": "predictions at step 40",
    "4": "z of A",
    "5": "○ start ● end: x has",
}


def _record(recording: Recording) -> None:
    """Three runs with different losses, ends and courses of z."""
    for place in range(3):
        run = recording.begin(lr=0.01 * (place + 1), session="compared", name=_NAMES[place])
        for step in range(41):
            angle = step / (8 + 3 * place)
            z = np.array([math.cos(angle), math.sin(angle) * (place + 1), angle / 9, place], np.float32)
            values: dict[str, Any] = {"loss": (place + 1) * math.exp(-step / 9) + 0.05}
            if step % 20 == 0:
                said = _PREDICTIONS[place]
                values |= {"decoded_prediction": said, "match": said == PUBLISHED_TARGET}
            vectors = {"z": z}
            if step == 0:
                vectors["init"] = np.array([1, 0, 0, 0], np.float32)
            recording._recorder.record_step(row(run, step, **values), vectors)
        recording.end(run, 40, Status.FINISHED)


@SIZES
@pytest.mark.parametrize("part", _PARTS)
def test_comparison(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int], part: str
) -> None:
    _record(recording)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "3 runs, newest first")
        await user.press("x", "down", "x", "down", "x", "X")
        await expect_shown(user, "compare: loss")
        await user.press(part)
        await expect_shown(user, _PARTS[part])
        if part == "3":
            await user.press("left")
            await expect_shown(user, "predictions at step 20;")
        await user.pause()

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_marked_runs(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    _record(recording)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "3 runs, newest first")
        await user.press("x", "down", "down", "x")
        await expect_shown(user, "2 marked")
        await user.pause()

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)
