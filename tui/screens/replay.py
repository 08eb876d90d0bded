"""A run played again: the parts of the main screen, fed with what was recorded up to the row shown."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from engine.errors import UserError
from tui.actions import Place, at, binding_id, bindings
from tui.curves import Chart, Charted
from tui.playback import Playback
from tui.replay import RecordedRun, ReplayRequest, next_of, read_recorded, read_rows
from tui.requests import Requests
from tui.text import safe_text
from tui.trajectory import Trajectory
from tui.widgets.chart_strip import ChartStrip
from tui.widgets.run_header import HeaderView, RunHeader
from tui.widgets.scrubber import Marks, Scrubber, ScrubberView
from tui.widgets.trajectory_table import TrajectoryTable

if TYPE_CHECKING:
    from tui.app import ExplorerApp
    from tui.screens.dialog import Wanted
    from tui.screens.replay_chart import ReplayChartScreen

_AHEAD_ROWS = 500
"""Rows before and behind the one that is so far ahead are read while the replay goes there."""

_NOTICE_S = 3.0
_REFUSED_SHOWN_S = 8.0

_HINTS = (
    (("play",), "play"),
    (("slower", "faster"), "speed"),
    (("row_before", "row_after"), "step"),
    (("previous_change", "next_change"), "change"),
    (("previous_event", "next_event"), "event"),
    (("go_to_step",), "to a step"),
    (("close",), "live"),
)
"""What the last line names: actions whose keys stand together, and a word for them."""

_ALSO_HERE = frozenset({"next_chart", "toggle_log", "open_chart", "gap", "cycle_theme", "help"})
"""Actions of the main screen that do the same in a replay."""

_NOT_REFUSED = _ALSO_HERE | {"next_pane", "palette", "leave"}


def _refused() -> list[BindingType]:
    """The keys of all other actions of the main screen: they would be about the run as it stands now."""
    return [
        Binding(action.keys, "refuse", show=False, id=binding_id(action))
        for action in at(Place.EXPLORER)
        if action.name not in _NOT_REFUSED
    ]


def _here() -> list[BindingType]:
    """The keys of the replay, which come before those of the table."""
    return [
        Binding(action.keys, action.name, action.label, show=False, priority=True, id=binding_id(action))
        for action in at(Place.REPLAY)
    ]


class RecordedRead(Message):
    """All rows are there."""

    def __init__(self, recorded: RecordedRun) -> None:
        super().__init__()
        self.recorded = recorded


class ReplayScreen(Screen[None]):
    """Shows a run as it stood at the row that a clock, a key or the mouse has gone to."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = [
        *_here(),
        *(
            each
            for each in bindings(Place.EXPLORER)
            if isinstance(each, Binding) and each.action in _ALSO_HERE
        ),
        *_refused(),
    ]

    def __init__(
        self,
        database: Path,
        request: ReplayRequest,
        requests: Requests,
        clock: Callable[[], float],
        *,
        chart: Chart = Chart.LOSS,
        is_log: bool | None = None,
    ) -> None:
        """Open a replay.

        Args:
            database: Where the run is read.
            request: What is to be shown.
            requests: For the dialog that asks for a step.
            clock: Seconds that only go forward.
            chart: What the strip draws.
            is_log: Whether on a logarithmic scale; None: where the values call for it.
        """
        super().__init__()
        self._database = database
        self._request = request
        self._requests = requests
        self._clock = clock
        self._chart, self._is_log = chart, is_log
        self._recorded: RecordedRun | None = None
        self._playback: Playback | None = None
        self._shown = Trajectory()
        self._large: ReplayChartScreen | None = None
        """The chart on the whole screen, while it stands over the replay."""
        self._marks = Marks()
        self._plays_when_released = False
        self._timer: Timer | None = None
        self._interval_s = 0.0

    def compose(self) -> ComposeResult:
        """Lay out the panes."""
        with Vertical(id="run"):
            yield RunHeader(id="header")
            yield ChartStrip(id="strip")
            yield TrajectoryTable(id="table")
        yield Scrubber(id="scrubber")
        yield Static(id="replay-keys", markup=False)

    def on_mount(self) -> None:
        """Read the rows."""
        hints = self.app.keymap.joint_hints(Place.REPLAY, _HINTS)
        self.query_one("#replay-keys", Static).update(safe_text(hints))
        self.query_one(RunHeader).display = False
        self._strip.choose(self._chart, is_log=self._is_log)
        self._table.show_placeholder("Reading the recorded rows …")
        self._table.focus()
        self.run_worker(self._read())

    async def _read(self) -> None:
        try:
            recorded = await asyncio.to_thread(read_recorded, self._database, self._request.run)
        except UserError as error:
            self._table.show_placeholder("This run cannot be replayed", "", str(error))
        else:
            self.post_message(RecordedRead(recorded))

    @on(RecordedRead)
    def _begin(self, message: RecordedRead) -> None:
        recorded = message.recorded
        if not recorded.steps:
            self._table.show_placeholder(f"Run {recorded.run.id} has no rows yet: there is nothing to replay")
            return
        self._recorded = recorded
        self._marks = Marks(
            events=[recorded.steps[place] for place in recorded.events],
            changes=[recorded.steps[place] for place in recorded.changes],
            first_match=None if recorded.first_match is None else recorded.steps[recorded.first_match],
        )
        self._playback = Playback(recorded.steps, recorded.elapsed_ms, self._clock, speed=self._request.speed)
        if self._playback.speed is not self._request.speed:
            self._say(
                f"run {recorded.run.id}: no times were recorded; it is played at {self._playback.speed}"
            )
        self._table.show_trajectory(self._shown, target=" ".join(recorded.run.targets))
        self._strip.add_class("-filled")
        self._playback.seek(recorded.position_of(self._request.step))
        self._show()
        self.action_play()

    def on_screen_suspend(self) -> None:
        """What covers the replay stops it: nobody sees it, except for its own chart."""
        if self._large is None:
            self._stay()

    def _stay(self) -> None:
        if self._playback is not None:
            self._playback.pause()
            self._show()

    # Keys

    def action_play(self) -> None:
        """Play, or stay at the row that is shown."""
        if (playback := self._playback) is not None:
            if playback.is_playing:
                playback.advance()
                playback.pause()
            else:
                playback.play()
            self._show()

    def action_faster(self) -> None:
        """Play at the next higher speed."""
        self._change_speed(faster=True)

    def action_slower(self) -> None:
        """Play at the next lower speed."""
        self._change_speed(faster=False)

    def action_row_after(self) -> None:
        """Go on by one row."""
        self._step(1)

    def action_row_before(self) -> None:
        """Go back by one row."""
        self._step(-1)

    def action_next_change(self) -> None:
        """Go to the next row whose prediction decodes to something else."""
        self._jump("changes", forward=True, otherwise="No later change of the prediction")

    def action_previous_change(self) -> None:
        """Go back to the last such row before this one."""
        self._jump("changes", forward=False, otherwise="No earlier change of the prediction")

    def action_next_event(self) -> None:
        """Go to the next row with which an event comes into sight."""
        self._jump("events", forward=True, otherwise="No later event")

    def action_previous_event(self) -> None:
        """Go back to the last such row before this one."""
        self._jump("events", forward=False, otherwise="No earlier event")

    def action_go_to_step(self) -> None:
        """Ask which step to go to."""
        if self._recorded is not None:
            from tui.screens.go_to_step import GoToStepDialog

            dialog = GoToStepDialog(self._recorded.run, self._requests, self._recorded.steps)
            self.app.push_screen(dialog, self._go_to_wanted)

    def action_first(self) -> None:
        """Go to the first row."""
        self._seek(0)

    def action_last(self) -> None:
        """Go to the last row."""
        if self._playback is not None:
            self._seek(self._playback.last)

    def action_close(self) -> None:
        """Go back to the run as it stands now."""
        self.dismiss()

    def action_refuse(self) -> None:
        """Say why a key of the main screen does nothing here."""
        key = self.app.keymap.keys(Place.REPLAY)["close"]
        self._say(f"run {self._request.run}: cannot be steered in a replay; {key} goes back")

    def action_next_chart(self) -> None:
        """Draw the next figure."""
        self._strip.choose(self._strip.following, is_log=None)

    def action_toggle_log(self) -> None:
        """Change the strip's scale."""
        self._strip.toggle_log()

    async def action_open_chart(self) -> None:
        """Show the figure of the strip on the whole screen."""
        if self._recorded is not None:
            await asyncio.to_thread(
                import_module, "tui.screens.replay_chart"
            )  # with numpy, a fifth of a second
            from tui.screens.replay_chart import ReplayChartScreen

            run, chart, is_log = self._request.run, self._strip.chart, self._strip.is_log
            self._large = ReplayChartScreen(
                self._database, self, run, self._charted, chart, is_log=is_log, stay=self._stay
            )
            await self.app.push_screen(self._large, self._close_chart)
            self._show()

    async def action_gap(self) -> None:
        """Show whether the text of z carries the prediction, up to the row that is shown."""
        if self._recorded is not None and self._playback is not None:
            await asyncio.to_thread(import_module, "tui.screens.gap")
            from tui.screens.gap import GapScreen

            position = self._playback.position
            run, until = self._recorded.run_at(position), self._recorded.steps[position]
            self.app.push_screen(GapScreen(self._database, run, lambda: self._shown, until=until))

    def _close_chart(self, _: None) -> None:
        self._large = None

    def action_cycle_theme(self) -> None:
        """Change the colours to the next theme."""
        self.app.cycle_theme()

    def action_help(self) -> None:
        """Show all keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    # Table and mouse

    @on(TrajectoryTable.Opened)
    def _open_row(self, message: TrajectoryTable.Opened) -> None:
        from tui.screens.row import RowScreen

        if self._recorded is not None and self._playback is not None:
            run = self._recorded.run_at(self._playback.position)
            row = RowScreen(self._database, run, self._shown, message.step)
            self.app.push_screen(row, lambda step: None if step is None else self._table.go_to_step(step))

    @on(Scrubber.Grabbed)
    def _hold(self) -> None:
        if self._playback is not None:
            self._plays_when_released = self._playback.is_playing
            self._playback.pause()

    @on(Scrubber.Sought)
    def _drag(self, message: Scrubber.Sought) -> None:
        self._go_to(message.step)

    @on(Scrubber.Released)
    def _let_go(self) -> None:
        playback = self._playback
        if self._plays_when_released and playback is not None and playback.position < playback.last:
            playback.play()
            self._show()

    # What is shown

    def _change_speed(self, *, faster: bool) -> None:
        if self._playback is not None:
            if not self._playback.change_speed(faster=faster):
                end = "highest" if faster else "lowest"
                self.notify(f"This is the {end} speed", timeout=_NOTICE_S)
            self._show()

    def _step(self, rows: int) -> None:
        if self._playback is not None:
            self._playback.advance()
            self._playback.step(rows)
            self._show(follows=True)

    def _seek(self, position: int) -> None:
        if self._playback is not None:
            self._playback.seek(position)
            self._show(follows=True)

    def _jump(self, to: str, *, forward: bool, otherwise: str) -> None:
        if self._recorded is None or self._playback is None:
            return
        self._playback.advance()
        positions = self._recorded.changes if to == "changes" else self._recorded.events
        position = next_of(positions, self._playback.position, forward=forward)
        if position is None:
            self.notify(otherwise, timeout=_NOTICE_S)
        else:
            self._seek(position)

    def _go_to_wanted(self, wanted: "Wanted | None") -> None:
        if wanted is not None:
            self._go_to(wanted.arguments["step"])

    def _go_to(self, step: int) -> None:
        if self._recorded is not None:
            self._seek(self._recorded.position_of(step))

    def _tick(self) -> None:
        """Show the row whose turn it is, unless the line to the terminal is behind."""
        if self._playback is not None and not self.app.is_link_held and self._playback.advance():
            self._show()

    def _show(self, *, follows: bool = False) -> None:
        """Bring everything to the row that is shown.

        Args:
            follows: The table goes there too where the user has moved up in it.
        """
        recorded, playback = self._recorded, self._playback
        if recorded is None or playback is None:
            return
        self._keep_time()
        position = playback.position
        self._show_rows(recorded.rows_at(position), follows=follows)
        run = recorded.run_at(position)
        self._strip.show(recorded.curves_at(position), run.steps)
        key = self.app.keymap.keys(Place.REPLAY)["close"]
        self.query_one(RunHeader).show(
            HeaderView(
                run,
                terms=recorded.figures_at(position).terms,
                replay=f"replayed as it was recorded; {key} goes back to the run as it is now",
            )
        )
        view = ScrubberView(
            step=recorded.steps[position],
            first=recorded.steps[0],
            last=recorded.steps[-1],
            is_playing=playback.is_playing,
            speed=str(playback.speed),
            elapsed_ms=recorded.elapsed_ms[position],
            total_ms=recorded.elapsed_ms[-1],
        )
        self.query_one(Scrubber).show(view, self._marks)
        if self._large is not None:
            self._large.follow(view, self._marks)

    def _show_rows(self, count: int, *, follows: bool) -> None:
        assert self._recorded is not None
        before = len(self._shown)
        self._shown.keep_first(count, self._recorded.trajectory)
        self._read_ahead(count)
        if count < before:
            self._table.rows_removed()
        else:
            self._table.rows_added(range(before, count))
            if follows and not self._table.follows:
                self._table.action_last_row()

    def _read_ahead(self, index: int) -> None:
        """Have the rows read that are shown next."""
        assert self._recorded is not None
        trajectory = self._recorded.trajectory
        ahead = min(index + _AHEAD_ROWS, len(trajectory) - 1)
        if trajectory.row(ahead) is None and (steps := trajectory.ask(ahead, around=_AHEAD_ROWS)):
            self._want_rows(steps)

    @on(TrajectoryTable.RowsMissing)
    def _read_missing(self, message: TrajectoryTable.RowsMissing) -> None:
        self._want_rows(message.steps)

    def _want_rows(self, steps: range) -> None:
        self.run_worker(self._read_rows(steps), group="rows")

    async def _read_rows(self, steps: range) -> None:
        run = self._request.run
        try:
            rows = await asyncio.to_thread(read_rows, self._database, run, steps)
        except UserError as error:
            self._say(str(error))
        else:
            self._table.supply(run, rows)

    def _keep_time(self) -> None:
        """Look at the clock as often as the screen may be painted; not at all while nothing plays."""
        is_playing = self._playback is not None and self._playback.is_playing
        if self._timer is not None and not (is_playing and self._interval_s == self.app.frame_interval_s):
            self._timer.stop()
            self._timer = None
        if is_playing and self._timer is None:
            self._interval_s = self.app.frame_interval_s
            self._timer = self.set_interval(self._interval_s, self._tick)

    def _charted(self) -> Charted:
        assert self._recorded is not None
        assert self._playback is not None
        run, position = self._recorded.run, self._playback.position
        marks = self._recorded.curves_at(position).marks
        steps = self._recorded.steps
        return Charted(f"REPLAY {run.session}/{run.number}", steps[position], marks, until=steps[-1])

    def _say(self, line: str) -> None:
        self.app.notify(safe_text(line), severity="error", timeout=_REFUSED_SHOWN_S, markup=False)

    @property
    def _strip(self) -> ChartStrip:
        return self.query_one(ChartStrip)

    @property
    def _table(self) -> TrajectoryTable:
        return self.query_one(TrajectoryTable)
