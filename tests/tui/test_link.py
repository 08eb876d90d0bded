"""When the line counts as slow, and when again as fast."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import User, expect_shown, lines, opened, text
from tui.link import LinkWatch
from tui.screens.explorer import ExplorerScreen
from tui.settings import config_path


def _looks(link: LinkWatch, waiting: int, from_s: float, to_s: float) -> None:
    at_s = from_s
    while at_s < to_s:
        link.look(waiting, at_s)
        at_s += 0.25


def test_a_burst_does_not_make_a_line_slow() -> None:
    link = LinkWatch()
    _looks(link, 10, 0, 0.75)
    _looks(link, 0, 0.75, 2)
    assert not link.is_slow


def test_a_queue_that_stays_filled_makes_it_slow_until_it_has_been_empty_for_a_while() -> None:
    link = LinkWatch()
    _looks(link, 10, 0, 2)
    assert link.is_slow
    assert not link.is_held
    _looks(link, 0, 2, 4)
    assert link.is_slow
    _looks(link, 0, 4, 6)
    assert not link.is_slow


def test_a_few_writes_now_and_then_keep_a_slow_line_slow() -> None:
    link = LinkWatch()
    _looks(link, 10, 0, 2)
    for second in range(2, 20):
        link.look(2, second)
        link.look(0, second + 0.5)
    assert link.is_slow


def test_a_stopped_line_is_held_at_once_and_let_go_when_it_moves() -> None:
    link = LinkWatch()
    link.look(20, 0)
    assert link.is_slow
    assert link.is_held
    link.look(3, 0.25)
    assert link.is_slow
    assert not link.is_held


def _pace(user: User, interval_s: float, *, is_held: bool, is_slow: bool) -> None:
    screen = user.app.screen
    assert isinstance(screen, ExplorerScreen)
    screen.pace(interval_s, is_held=is_held, is_slow=is_slow)


async def test_a_held_screen_shows_nothing_new_until_it_is_let_go(
    database: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.app._LOOK_AT_LINK_S", 1e6)  # the real line is no part of this
    run = recording.begin()
    rows = published_like_rows(run, 60)
    recording.steps(run, rows[:20])
    async with opened(database) as held, opened(database) as other:
        await expect_shown(held, "step 19 of 100")
        _pace(held, 0.05, is_held=True, is_slow=True)
        await expect_shown(held, "link: slow")
        assert lines(held)[-1].rstrip().endswith("link: slow")
        assert "q leave" in lines(held)[-1]
        recording.steps(run, rows[20:])
        await expect_shown(other, "step 59 of 100")
        assert "step 19 of 100" in text(held)
        _pace(held, 0.05, is_held=False, is_slow=False)
        await expect_shown(held, "step 59 of 100")
        assert "link: slow" not in text(held)


_CONSTANTS = """
from tui import cli
from tui.settings import load
load()
from textual import constants
print(constants.TEXTUAL_ANIMATIONS, constants.MAX_FPS, constants.SMOOTH_SCROLL)
"""


@pytest.mark.parametrize("config", ["", '[keys]\nnew_run = "N"'], ids=["plain", "own keys"])
def test_nothing_is_animated(config: str) -> None:
    """Textual reads it once, when it is imported, which is earlier where keys are to be checked."""
    config_path().parent.mkdir(parents=True)
    config_path().write_text(config)
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TEXTUAL_")}
    done = subprocess.run(
        [sys.executable, "-c", _CONSTANTS], capture_output=True, text=True, check=True, timeout=60, env=bare
    )
    assert done.stdout.split() == ["none", "15", "False"]
