"""What all pictures share: their sizes, what compares them, and an app that time does not change."""

from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.tui.conftest import RecordingControl
from tests.tui.screen import LARGE, MEDIUM, SMALL
from tui.app import ExplorerApp
from tui.settings import Settings


def sizes(*of: tuple[int, int]) -> pytest.MarkDecorator:
    """The test is made once for each of these terminals."""
    return pytest.mark.parametrize("size", of, ids=lambda size: f"{size[0]}x{size[1]}")


SIZES = sizes(SMALL, MEDIUM, LARGE)


class Compare(Protocol):
    """Compares a picture of the app with the stored one."""

    def __call__(self, app: ExplorerApp, *, terminal_size: tuple[int, int], run_before: Any) -> bool: ...


def app_on(database: Path, **settings: Any) -> ExplorerApp:
    """The explorer on a database, with a control that starts no worker and a clock that stands still."""
    control = RecordingControl()
    return ExplorerApp(
        database, settings=Settings(**settings), load_control=lambda: control, clock=lambda: 0.0
    )
