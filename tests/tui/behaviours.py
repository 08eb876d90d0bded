"""Registers the functions that show what the actions of the registry do."""

from collections.abc import Awaitable, Callable

from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording
from tests.tui.screen import User
from tui.actions import Place

Behaviour = Callable[[User, RecordingControl, Recording], Awaitable[None]]

BEHAVIOURS: dict[tuple[Place, str], Behaviour] = {}


def behaviour(place: Place, *names: str) -> Callable[[Behaviour], Behaviour]:
    """The decorated function shows what these actions do; the screen has three runs, the newest running."""

    def add(shows: Behaviour) -> Behaviour:
        BEHAVIOURS.update({(place, name): shows for name in names})
        return shows

    return add
