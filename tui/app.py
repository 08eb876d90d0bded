"""The explorer: a screen on the database, and nothing that a run depends on."""

from tui import textual_settings  # noqa: F401  # before Textual is imported

# isort: split

import asyncio
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import DescendantFocus
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widget import Widget

from engine.store.location import database_path
from engine.store.records import RunRecord
from tui.actions import LEAVE_FROM_ANYWHERE, Place
from tui.driver import TerminalDriver, TerminalGone
from tui.glyphs import AsciiFilter
from tui.keymap import Keymap
from tui.link import LinkWatch
from tui.replay import ReplayRequest
from tui.requests import Control, Requests, engine_control
from tui.ringing import Ringer, notification
from tui.screens.explorer import ExplorerScreen, ReadyToLeave
from tui.settings import Settings, config_path
from tui.text import safe_text
from tui.themes import THEMES, next_theme
from tui.view_state import ViewMemory, ViewState

_LOOK_AT_LINK_S = 0.25
_KEEP_VIEW_S = 3.0
_SLOW_HZ = 2.0


_PALETTE = {
    Place.EXPLORER: ("", ""),
    Place.RUNS: ("List: ", "#runs"),
    Place.TABLE: ("Table: ", "#table"),
}
"""Whose actions the command palette offers: what stands before their names, and who carries them out."""


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
        settings: Settings | None = None,
        memory: ViewMemory | None = None,
        load_control: Callable[[], Control] = engine_control,
        clock: Callable[[], float] = time.monotonic,
        replay: ReplayRequest | None = None,
    ) -> None:
        """Open the explorer.

        Args:
            database: Where sessions are; made when the first run is saved.
            settings: What the user has set; the defaults if None.
            memory: Where the user was the last time, and is kept when the app is left; nowhere if None.
            load_control: Gives what writes to it and starts workers, when something is first asked for.
            clock: Seconds that only go forward; steps a second are measured with it, and replays are timed.
            replay: What is to be replayed at once; None: nothing.
        """
        super().__init__()
        self.settings = settings or Settings()
        self.frame_interval_s = 1 / self.settings.refresh_hz
        """How long a frame stands on the screen at least."""

        self.is_link_held = False
        """Nothing more should be painted now: the line to the terminal is far behind."""

        self.keymap = Keymap(self.settings.keys)
        """The keys in force."""

        self._memory = memory
        self._ringer = Ringer()
        self._link = LinkWatch()
        self._line_filters = [AsciiFilter()] if self.settings.ascii else []
        self._database = database
        self._clock = clock
        self._replay = replay
        self._requests = Requests(load_control)
        self._explorer: ExplorerScreen | None = None
        self._was_left = False
        """The user wanted to leave; else the terminal went away, or the process was asked to end."""

        self.farewell = ""
        """What the shell is told after leaving; empty when no run goes on."""

        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.settings.theme

    def run(self, *arguments: Any, **options: Any) -> object:
        """Run the app until the user leaves, then say on the shell what goes on without it."""
        try:
            result = super().run(*arguments, **options)
        finally:
            if isinstance(self._driver, TerminalDriver):
                self._driver.end()
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # Python drops its own handlers before it ends
        if self.farewell:
            print(self.farewell)
        if self._was_left:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for line in self.explorer.deletions.finish():
                print(line, flush=True)
        return result

    def get_default_screen(self) -> Screen[None]:
        """The main screen is there from the first paint on."""
        view = self._memory.load() if self._memory else ViewState()
        self._explorer = ExplorerScreen(self._database, self._requests, self._clock, view)
        return self._explorer

    @property
    def explorer(self) -> ExplorerScreen:
        """The main screen."""
        assert self._explorer is not None, "it is there from the first paint on"
        return self._explorer

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every painted line passes through on its way to the terminal."""
        return [*super().get_line_filters(), *self._line_filters]

    def get_driver_class(self) -> type[Driver]:
        """What talks to the terminal, unless the environment names something of its own."""
        driver = super().get_driver_class()
        return TerminalDriver if driver is LinuxDriver else driver

    def on_mount(self) -> None:
        """Leave cleanly when the terminal goes away or the process is asked to end."""
        self._requests.start()
        if not self.is_headless:
            self._leave_on_signals()
        self.set_keymap(self.keymap.bindings)
        self.set_interval(_LOOK_AT_LINK_S, self._look_at_link)
        if self._replay is not None and self._explorer is not None:
            self._explorer.call_after_refresh(self._explorer.replay, self._replay)
        if self._memory is not None:
            self.set_interval(_KEEP_VIEW_S, self._keep_view)

    async def on_unmount(self) -> None:
        """Let what was asked for be written."""
        await asyncio.to_thread(self._requests.finish)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Keep the text cursor from blinking: a screen at rest sends nothing."""
        if hasattr(event.widget, "cursor_blink"):
            event.widget.cursor_blink = False

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer everything that the main screen can do in the command palette, with its key."""
        if screen is not self._explorer:
            return
        for place, (title, selector) in _PALETTE.items():
            for action in self.keymap.at(place):
                if action.name != "palette":
                    label = action.label if title else action.label.capitalize()
                    yield SystemCommand(
                        title + label,
                        f"{action.help}  ({action.shown_key})",
                        partial(self._carry_out, action.name, selector),
                    )
        for theme in THEMES:
            yield SystemCommand(
                f"Theme: {theme.name}", "Change the colours", partial(setattr, self, "theme", theme.name)
            )

    async def _carry_out(self, action: str, selector: str) -> None:
        """Do what a key does, where the key works."""
        assert self._explorer is not None
        target: Widget = self._explorer
        if selector:
            target = self._explorer.query_one(selector).focus()
        await self.run_action(action, target)

    async def action_leave(self) -> None:
        """Leave after what was asked for has been written; runs go on."""
        await asyncio.to_thread(self._requests.finish)
        # Behind the answers that are on their way to the same screen.
        if self._explorer is not None:
            self._explorer.post_message(ReadyToLeave())

    async def action_quit(self) -> None:
        """Textual's own way out is ours too."""
        await self.action_leave()

    def leave_now(self, going_on: Sequence[int], leaving_workers: Sequence[str] = ()) -> None:
        """End the app, with a line on the shell about what goes on and what does not."""
        if leaving_workers:
            self.farewell = _farewell_to_workers(leaving_workers, going_on, self._database)
        elif going_on:
            self.farewell = _farewell(going_on, self._database)
        self._was_left = True
        self._leave_at_once()

    def notify(self, *arguments: Any, **options: Any) -> None:
        """Show a message in place of the one before: several would cover what they are about."""
        self.clear_notifications()
        super().notify(*arguments, **options)

    def cycle_theme(self) -> None:
        """Change the colours to the next theme, and say how to keep them."""
        self.theme = next_theme(self.theme)
        self.notify(
            f'Theme {self.theme}. To keep it: theme = "{self.theme}" in {config_path()}', markup=False
        )

    def hear(self, runs: Iterable[RunRecord]) -> None:
        """Ring when one of the runs has matched, finished or failed since the last time."""
        lines = self._ringer.news(runs)
        if lines and self.settings.bell and self._driver is not None and not self.is_headless:
            for line in lines:
                self._driver.write(notification(line))

    def on_terminal_gone(self, _: TerminalGone) -> None:
        """Leave: there is no one to show anything to."""
        self._leave_at_once()

    def _leave_at_once(self) -> None:
        """End the app without asking anything of anybody; the view is kept.

        A screen that is taken down while it is put up finds its own parts missing: it is waited for.
        """
        if self._explorer is not None and not self._explorer.is_mounted:
            self._explorer.call_later(self._leave_at_once)
            return
        memory, self._memory = self._memory, None  # a second signal finds a screen that is half gone
        if memory is not None and self._explorer is not None:
            memory.save(self._explorer.view)
        self.exit()

    def _leave_on_signals(self) -> None:
        """Take signals to the end of the process.

        A terminal that goes away may send more than one. asyncio's own handlers would go with its loop, and
        a signal after that would kill what is about to end well.
        """
        loop, context = asyncio.get_running_loop(), copy_context()

        def leave(*_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: it is leaving already
                loop.call_soon_threadsafe(self._leave_at_once, context=context)

        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, leave)

    async def _keep_view(self) -> None:
        """Keep where the user is, for the time after a crash of this process or of the machine."""
        if self._memory is not None and self._explorer is not None:
            await asyncio.to_thread(self._memory.save, self._explorer.view)

    def _look_at_link(self) -> None:
        """Paint less often while the line to the terminal does not keep up."""
        if self._explorer is None:
            return
        writer = getattr(self._driver, "_writer_thread", None)  # Textual has no public name for it
        self._link.look(0 if writer is None else writer._queue.qsize(), time.monotonic())
        most_hz = _SLOW_HZ if self._link.is_slow else self.settings.refresh_hz
        interval_s = 1 / min(self.settings.refresh_hz, most_hz)
        self.frame_interval_s, self.is_link_held = interval_s, self._link.is_held
        self._explorer.pace(interval_s, is_held=self._link.is_held, is_slow=self._link.is_slow)


def _farewell(going_on: Sequence[int], database: Path) -> str:
    """One line: which runs go on, how to come back, and how to stop them."""
    numbers = ", ".join(map(str, going_on))
    runs, verb = ("run", "goes") if len(going_on) == 1 else ("runs", "go")
    option = _database_option(database)
    line = (
        f"{runs.capitalize()} {numbers} {verb} on without this screen. "
        f"Come back: sonar-explore{option}  Stop: sonar-explore stop {going_on[0]}{option}"
    )
    return safe_text(line)


def _farewell_to_workers(devices: Sequence[str], going_on: Sequence[int], database: Path) -> str:
    """One line: which workers leave, what becomes of their runs, and how to come back."""
    workers, verb = ("worker", "was") if len(devices) == 1 else ("workers", "were")
    line = f"The {workers} of {', '.join(devices)} {verb} asked to leave"
    if going_on:
        runs, pause = ("run", "pauses") if len(going_on) == 1 else ("runs", "pause")
        line += f"; {runs} {', '.join(map(str, going_on))} {pause}"
    return safe_text(f"{line}. Come back: sonar-explore{_database_option(database)}")


def _database_option(database: Path) -> str:
    return "" if database == database_path() else f" --db {shlex.quote(str(database))}"
