"""Pictures of the application around the screen: themes, ASCII, the help with keys of one's own."""

import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.store.records import Status
from tests.tui.pictures import SIZES, Compare, app_on, sizes
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import LARGE, MEDIUM, SMALL, expect_row, expect_shown
from tui.actions import Place
from tui.app import ExplorerApp
from tui.settings import THEME_NAMES

_OTHER_THEMES = [name for name in THEME_NAMES if name != "sonar"]


def _some_runs(recording: Recording) -> None:
    failed = recording.begin()
    recording.steps(failed, published_like_rows(failed, 8))
    recording.end(failed, 7, Status.FAILED, "loss: not finite at step 7")
    finished = recording.begin()
    recording.steps(finished, published_like_rows(finished, 101))
    recording.end(finished, 100, Status.FINISHED)
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 23))
    recording.set_lr(run, 23, 0.01, 0.0125)
    recording.steps(run, published_like_rows(run, 44)[23:])


@pytest.mark.parametrize("theme", _OTHER_THEMES)
def test_theme(snap_compare: Compare, database: Path, recording: Recording, theme: str) -> None:
    _some_runs(recording)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "step 43 of 100")
        await expect_row(user, 43)
        await user.press("tab", "up", "up")

    assert snap_compare(app_on(database, theme=theme), terminal_size=MEDIUM, run_before=shown)


@SIZES
def test_ascii(snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]) -> None:
    _some_runs(recording)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "step 43 of 100")
        await expect_row(user, 43)

    assert snap_compare(app_on(database, ascii=True), terminal_size=size, run_before=shown)


@sizes(SMALL, LARGE)
def test_help_with_keys_of_ones_own(snap_compare: Compare, database: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "No runs yet")
        await user.press("f5")
        await expect_shown(user, Place.EXPLORER)

    app = app_on(database, keys={"new_run": "N", "help": "f5", "lower_lr": "_"})
    assert snap_compare(app, terminal_size=size, run_before=shown)


def test_slow_line(snap_compare: Compare, database: Path, recording: Recording) -> None:
    _some_runs(recording)

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "step 43 of 100")
        await expect_row(user, 43)
        assert isinstance(user.app, ExplorerApp)
        user.app._link.look(30, time.monotonic())
        await expect_shown(user, "link: slow")

    assert snap_compare(app_on(database), terminal_size=SMALL, run_before=shown)
