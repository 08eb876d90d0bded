"""Open the form for a fork over whatever screen is up, and go to the fork when it is queued."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.store.records import RunRecord
from tui.requests import Requests
from tui.text import safe_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp
    from tui.form_material import FormMaterial

_REASON_S = 8.0


async def open_fork_form(
    app: "ExplorerApp",
    database: Path,
    requests: Requests,
    run: RunRecord,
    step: int,
    go_to: Callable[[int], None],
) -> None:
    """Fill the form with what a row was made with.

    Args:
        app: The app.
        database: Where the row is.
        requests: Who queues the fork.
        run: The parent.
        step: The row.
        go_to: Called on the main screen with the number of the fork when it is queued.
    """
    try:
        material = await asyncio.to_thread(_read, database, run, step, app.settings.bundle)
    except UserError as error:
        app.notify(safe_text(str(error)), severity="warning", timeout=_REASON_S, markup=False)
        return
    from tui.screens.new_run import NewRunScreen

    async def leave(fork: int | None) -> None:
        if fork is not None:
            await back_to_main(app)
            go_to(fork)

    app.push_screen(NewRunScreen(database, requests, material), leave)


async def back_to_main(app: "ExplorerApp") -> None:
    """Close whatever stands over the main screen."""
    while len(app.screen_stack) > 1:
        await app.pop_screen()


def _read(database: Path, run: RunRecord, step: int, bundle: str) -> "FormMaterial":
    """Import and read on this thread, which may take its time."""
    from engine.forking import fork_point
    from engine.store.reading import Reader
    from tui.form_material import read_material
    from tui.screens import new_run  # noqa: F401

    with Reader(database) as reader:
        point = fork_point(reader, run.id, step)
    return read_material(database, run.id, bundle, fork=point)
