"""Look at the screen as a user does: its painted lines, and waiting until something stands on them."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot
from textual.strip import Strip

from tests.tui.conftest import RecordingControl
from tui.app import ExplorerApp
from tui.settings import Settings
from tui.view_state import ViewMemory
from tui.widgets.form import Form
from tui.widgets.run_list import RunList
from tui.widgets.trajectory_table import TrajectoryTable

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (160, 48)
_DEADLINE_S = 20.0

User = Pilot[object]


@asynccontextmanager
async def opened(
    database: Path,
    control: RecordingControl | None = None,
    *,
    size: tuple[int, int] = MEDIUM,
    clock: Callable[[], float] = time.monotonic,
    settings: Settings | None = None,
    memory: ViewMemory | None = None,
) -> AsyncIterator[User]:
    """The app on a database, in a terminal of a size."""
    asked = control or RecordingControl()
    app = ExplorerApp(database, settings=settings, memory=memory, load_control=lambda: asked, clock=clock)
    async with app.run_test(size=size, notifications=True) as user:
        yield user


def strips(user: User) -> list[Strip]:
    """The painted lines, with their styles."""
    return user.app.screen._compositor.render_strips()


def lines(user: User) -> list[str]:
    """What stands on the screen."""
    return [strip.text for strip in strips(user)]


def text(user: User) -> str:
    """What stands on the screen, as one text."""
    return "\n".join(lines(user))


async def expect(user: User, condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fails with the screen when it does not come to hold."""
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to that; the screen:\n{text(user)}"
        await asyncio.sleep(0.01)
        await user.pause()


async def expect_shown(user: User, *parts: str) -> None:
    """Wait until all these texts stand on the screen."""
    await expect(user, lambda: all(part in text(user) for part in parts))


async def expect_row(user: User, step: int) -> None:
    """Wait until the row of a step stands in the table: it may come after the header."""
    row = re.compile(rf"(?<![\w.]){step} +-?\d+\.\d")
    await expect(user, lambda: any(map(row.search, lines(user))))


async def expect_said(user: User, *parts: str) -> None:
    """Wait until all these texts stand on the screen, wherever its lines break, frames left out."""

    def close(said: str) -> str:
        return "".join(sign for sign in said if not (sign.isspace() or "\u2500" <= sign <= "\u259f"))

    await expect(user, lambda: all(close(part) in close(text(user)) for part in parts))


def runs_of(user: User) -> RunList:
    return user.app.query_one("#runs", RunList)


def form_of(user: User) -> Form:
    return user.app.screen.query_one(Form)


def table_of(user: User) -> TrajectoryTable:
    return user.app.query_one("#table", TrajectoryTable)
