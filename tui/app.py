"""The explorer: a screen on the database, and nothing that a run depends on."""

from tui import textual_settings  # noqa: F401  # before Textual is imported

# isort: split

import asyncio
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.events import DescendantFocus
from textual.screen import Screen
from textual.theme import Theme

from engine.store.location import database_path
from tui.actions import LEAVE_FROM_ANYWHERE, Place, at
from tui.requests import Control, Requests, engine_control
from tui.screens.explorer import ExplorerScreen, ReadyToLeave
from tui.text import safe_text

THEME = Theme(
    name="sonar",
    primary="#6cb6c9",
    secondary="#8aa0b8",
    accent="#6cb6c9",
    foreground="#c9d1d9",
    background="#0f1419",
    surface="#141a21",
    panel="#1c242d",
    success="#7fb685",
    warning="#d9a657",
    error="#d9726b",
    dark=True,
    variables={
        "text-muted": "#7d8894",
        "selection": "#21323c",
        "scrollbar": "#2a3540",
        "scrollbar-background": "#0f1419",
    },
)


class ExplorerApp(App[object]):
    """Opens a database, watches it, and asks workers for what the user wants."""

    TITLE = "sonar-explore"
    CSS_PATH = "styles/app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [LEAVE_FROM_ANYWHERE]
    # Textual declares these two as instance variables.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (140, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        database: Path,
        *,
        load_control: Callable[[], Control] = engine_control,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the explorer.

        Args:
            database: Where sessions are; made when the first run is saved.
            load_control: Gives what writes to it and starts workers, when something is first asked for.
            clock: Seconds that only go forward; steps a second are measured with it.
        """
        super().__init__()
        self._database = database
        self._clock = clock
        self._requests = Requests(load_control)
        self._explorer: ExplorerScreen | None = None
        self.farewell = ""
        """What the shell is told after leaving; empty when no run goes on."""

        self.register_theme(THEME)
        self.theme = THEME.name

    def run(self, *arguments: Any, **options: Any) -> object:
        """Run the app until the user leaves, then say on the shell what goes on without it."""
        result = super().run(*arguments, **options)
        if self.farewell:
            print(self.farewell)
        return result

    def get_default_screen(self) -> Screen[None]:
        """The main screen is there from the first paint on."""
        self._explorer = ExplorerScreen(self._database, self._requests, self._clock)
        return self._explorer

    def on_mount(self) -> None:
        """Leave cleanly when the terminal goes away or the process is asked to end."""
        self._requests.start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.exit)

    async def on_unmount(self) -> None:
        """Let what was asked for be written."""
        await asyncio.to_thread(self._requests.finish)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Keep the text cursor from blinking: a screen at rest sends nothing."""
        if hasattr(event.widget, "cursor_blink"):
            event.widget.cursor_blink = False

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer the registry's actions in the command palette."""
        explorer = self._explorer
        if screen is explorer and explorer is not None:
            for action in at(Place.EXPLORER):
                if action.name != "palette":
                    carry_out = partial(self.run_action, action.name, explorer)
                    yield SystemCommand(action.label.capitalize(), action.help, carry_out)

    async def action_leave(self) -> None:
        """Leave after what was asked for has been written; runs go on."""
        await asyncio.to_thread(self._requests.finish)
        # Behind the answers that are on their way to the same screen.
        if self._explorer is not None:
            self._explorer.post_message(ReadyToLeave())

    async def action_quit(self) -> None:
        """Textual's own way out is ours too."""
        await self.action_leave()

    def leave_now(self, going_on: Sequence[int]) -> None:
        """End the app, with a line on the shell about runs that go on."""
        if going_on:
            self.farewell = _farewell(going_on, self._database)
        self.exit()


def _farewell(going_on: Sequence[int], database: Path) -> str:
    """One line: which runs go on, how to come back, and how to stop them."""
    numbers = ", ".join(map(str, going_on))
    runs, verb = ("run", "goes") if len(going_on) == 1 else ("runs", "go")
    option = "" if database == database_path() else f" --db {shlex.quote(str(database))}"
    line = (
        f"{runs.capitalize()} {numbers} {verb} on without this screen. "
        f"Come back: sonar-explore{option}  Stop: sonar-explore stop {going_on[0]}{option}"
    )
    return safe_text(line)
