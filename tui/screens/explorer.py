"""The main screen: runs on the left, the selected run on the right."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from engine.batched import others_after
from engine.store.records import RunRecord, Status
from tui.actions import Place, bindings, unavailable
from tui.curves import Curves
from tui.live import DatabaseWatcher
from tui.news import (
    DatabaseMissing,
    DatabaseUnreadable,
    RowsRead,
    RunsRead,
    TrajectoryRead,
    WorkerView,
)
from tui.numbers import gpu_text
from tui.pending import describe
from tui.requests import Control, Refused, Requests
from tui.screens.opening import OpeningScreen
from tui.screens.view import restore_view, take_view
from tui.step_rate import StepRate
from tui.text import safe_text
from tui.trajectory import Trajectory
from tui.view_state import ViewState
from tui.widgets.action_bar import ActionBar
from tui.widgets.chart_strip import ChartStrip
from tui.widgets.run_header import HeaderView, RunHeader
from tui.widgets.run_list import RunList
from tui.widgets.run_pane import RunPane
from tui.widgets.trajectory_table import TrajectoryTable


class CommandLineReady(Message):
    """The command line that makes a run again."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self.line = line


class ReadyToLeave(Message):
    """Everything that was asked for before leaving has been carried out."""


class ExplorerScreen(OpeningScreen):
    """Shows what the database watcher reads, and asks for what the keys say."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.EXPLORER)

    def __init__(
        self, database: Path, requests: Requests, clock: Callable[[], float], view: ViewState
    ) -> None:
        super().__init__(database, requests, clock)
        self._last_view = view
        self._watcher = DatabaseWatcher(database, self._take_news, clock=clock)
        self._is_laid_out = threading.Event()
        self._workers: tuple[WorkerView, ...] = ()
        self._trajectory = Trajectory()
        self._curves = Curves()
        self._shown_run: int | None = None
        self._others = 0
        self._rate = StepRate()

    def compose(self) -> ComposeResult:
        """Lay out the panes."""
        yield Static(id="notice", markup=False)
        with Horizontal(id="panes"):
            yield RunPane(id="left")
            with Vertical(id="run"):
                yield RunHeader(id="header")
                yield ChartStrip(id="strip")
                yield TrajectoryTable(id="table")
        yield ActionBar(id="actions")

    async def on_mount(self) -> None:
        """Go to where the user was."""
        await restore_view(self, self._last_view)
        self._header.display = False
        self._actions.dim(unavailable(None))
        self.call_after_refresh(self._is_laid_out.set)

    def on_screen_resume(self) -> None:
        """Read the database from the first paint on; what is called next comes behind it."""
        self.call_next(self._watcher.start)

    def on_unmount(self) -> None:
        """Stop watching it."""
        self._is_laid_out.set()
        self._watcher.stop()

    @property
    def is_current(self) -> bool:
        """Whether it can be seen.

        Textual counts the screen below one that covers everything too, and paints the cover for its news.
        """
        return super().is_current and (self.app.screen is self or self.app.screen.styles.background.a < 1)

    @property
    def selected_run(self) -> RunRecord | None:
        """The run that is selected in the list."""
        view = self._list.selected
        return view.record if view else None

    @property
    def going_on(self) -> list[int]:
        """Ids of the runs that a worker has or will take up, those that were just queued included."""
        statuses = (Status.QUEUED, Status.LOADING, Status.RUNNING)
        shown = {view.record.id: view.record.status in statuses for view in self._list.runs}
        return sorted({*(run for run, goes_on in shown.items() if goes_on), *(self._queued - shown.keys())})

    @property
    def served_devices(self) -> list[str]:
        """Devices that have a worker now."""
        return [worker.device for worker in self._workers if worker.alive]

    @property
    def view(self) -> ViewState:
        """Where the user is."""
        return take_view(self, self._last_view)

    def pace(self, interval_s: float, *, is_held: bool, is_slow: bool) -> None:
        """Show news this often, or none for now, because of the line to the terminal."""
        self._watcher.pace(interval_s, is_held=is_held)
        for bar in self.query(ActionBar):  # none before the first paint
            bar.say("link: slow" if is_slow else "")

    # What is read

    def _take_news(self, message: Message) -> None:
        """Of the watcher's thread, which may be ready before the panes have the size of the terminal."""
        self._is_laid_out.wait()
        self.post_message(message)

    @on(RunsRead)
    def _show_runs(self, message: RunsRead) -> None:
        self._workers = message.workers
        self._show_notice(message.notice)
        self._list.show_runs(message.runs)
        self.app.hear(view.record for view in message.runs)
        if not message.runs:
            self._show_nothing_yet()
        self.show_steering()

    @on(DatabaseMissing)
    def _show_missing(self) -> None:
        self._show_notice(None)
        self._list.show_runs(())
        self._show_nothing_yet()
        self.show_steering()

    @on(DatabaseUnreadable)
    def _show_unreadable(self, message: DatabaseUnreadable) -> None:
        self._show_notice(message.reason)

    @on(TrajectoryRead)
    def _show_trajectory(self, message: TrajectoryRead) -> None:
        if message.run != self._shown_run:
            return
        self._pending.read(message.run, message.commands)
        if message.is_first:
            is_again = len(self._trajectory) > 0
            self._trajectory = Trajectory()
            self._curves = Curves()
            self._rate.restart()
            self._trajectory.extend(message.steps, message.events)
            view = self._list.selected
            self._table.show_trajectory(
                self._trajectory, target=" ".join(view.record.targets) if view else "", keep_place=is_again
            )
        else:
            self._table.rows_added(
                self._trajectory.extend(message.steps, message.events, is_before=message.is_before)
            )
        self._curves.extend(message.steps)
        self._curves.mark(message.events)
        self._others = others_after(message.events, 0 if message.is_first else self._others)
        if message.steps and message.is_complete and not message.is_before:
            self._rate.arrived(message.steps[-1].step, message.at_s)
        self._table.show_placeholder("No steps yet")
        if message.is_complete:
            self._show_strip()
        self.show_steering()

    @on(TrajectoryTable.RowsMissing)
    def _read_rows(self, message: TrajectoryTable.RowsMissing) -> None:
        self._watcher.read_rows(message.run, message.steps)

    @on(RowsRead)
    def _show_rows(self, message: RowsRead) -> None:
        self._table.supply(message.run, message.steps)

    @on(RunList.Selected)
    def _follow_selected(self) -> None:
        view = self._list.selected
        run = view.record.id if view else None
        if run != self._shown_run:
            self._shown_run = run
            self._others = 0
            self._trajectory = Trajectory()
            self._curves = Curves()
            self._rate.restart()
            if view is None:
                self._show_nothing_yet()
            else:
                self._table.show_placeholder()
            self._table.show_trajectory(self._trajectory)
            self._watcher.select(run)
            self._show_strip()
            self.show_steering()

    # Moving about

    async def go_to_row(self, run: int, step: int) -> None:
        """Close what stands over this screen, and go to a row of a run."""
        from tui.screens.forking import back_to_main

        await back_to_main(self.app)
        self._list.select_run(run)
        self._table.restore_place(run, step)
        self._table.focus()

    def action_next_pane(self) -> None:
        """Move the focus to the other pane."""
        if self._table.has_focus and self._left.display:
            self._list.focus()
        else:
            self._table.focus()

    def action_toggle_runs(self) -> None:
        """Hide or show the list, so that a narrow terminal has room for the table."""
        self._left.display = not self._left.display
        (self._list if self._left.display else self._table).focus()

    async def action_filter(self) -> None:
        """Type what the runs in the list must have."""
        await self._left.open_filter()

    def action_sort(self) -> None:
        """Put the runs into the next order."""
        self._list.rearrange(sort=self._list.sort.following)

    def action_next_chart(self) -> None:
        """Show the strip where it is hidden, else draw the next figure in it."""
        self._strip.show_next()

    def action_toggle_log(self) -> None:
        """Change the strip's scale."""
        self._strip.toggle_log()

    @on(RunList.Opened)
    def _go_to_table(self) -> None:
        self._table.focus()

    @on(TrajectoryTable.Left)
    def _go_to_list(self) -> None:
        self._left.display = True
        self._list.focus()

    def action_cycle_theme(self) -> None:
        """Change the colours to the next theme."""
        self.app.cycle_theme()

    def action_copy_command(self) -> None:
        """Copy the command line that makes the selected run again."""
        if run := self.selected_run:
            self._requests.submit(self, partial(_command_of, run), Refused)

    @on(CommandLineReady)
    def _copy(self, message: CommandLineReady) -> None:
        self.app.copy_to_clipboard(message.line)
        self.notify(f"Copied: {safe_text(message.line, limit=_NOTICE_CELLS)}", markup=False)

    def action_help(self) -> None:
        """Show all keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    def action_palette(self) -> None:
        """Open the command palette."""
        self.app.action_command_palette()

    async def action_leave(self) -> None:
        """Leave the app; runs go on."""
        await self.app.action_leave()

    @on(ReadyToLeave)
    def _leave(self) -> None:
        self.app.leave_now(self.going_on, self.leaving_workers)

    # Parts

    def show_steering(self) -> None:
        """Bring header and keys up to date."""
        run = self.selected_run
        self._actions.dim(unavailable(run))
        if run is None:
            self._header.show(None)
            return
        if run.status is not Status.RUNNING:
            self._rate.restart()
        rejected = self._pending.rejection(run.id)
        reason = f"{describe(rejected.kind, rejected.arguments)}: {rejected.reason}" if rejected else None
        worker = next(
            (worker for worker in self._workers if worker.device == run.device and worker.alive), None
        )
        newest = self._trajectory.newest if run.id == self._shown_run else None
        self._header.show(
            HeaderView(
                run,
                steps_per_second=self._rate.steps_per_second,
                pending=tuple(describe(kind, arguments) for kind, arguments in self._pending.of(run.id)),
                rejection=reason,
                worker=worker.state if worker else None,
                gpu=_gpu_text(worker) if worker else None,
                terms=newest.terms if newest else {},
                others=self._others if run.id == self._shown_run else 0,
                halt=self._pending.halt(run),
                keys=self._keys,
            )
        )

    def _show_strip(self) -> None:
        view, last = self._list.selected, self._trajectory.last_step
        self._strip.set_class(last is not None, "-filled")
        if view is not None and last is not None:
            self._strip.show(self._curves, view.record.steps)

    def _show_nothing_yet(self) -> None:
        self._table.show_placeholder(
            "No runs yet",
            "",
            f"Press {self._keys['run_published']} to start the published experiment,",
            f"or {self._keys['new_run']} to describe a run of your own.",
        )

    def _show_notice(self, notice: str | None) -> None:
        bar = self.query_one("#notice", Static)
        shown = safe_text(notice or "")
        if shown != str(bar.content):
            bar.update(shown)
        bar.display = bool(shown)

    @property
    def _left(self) -> RunPane:
        return self.query_one("#left", RunPane)

    @property
    def _header(self) -> RunHeader:
        return self.query_one("#header", RunHeader)

    @property
    def _actions(self) -> ActionBar:
        return self.query_one("#actions", ActionBar)


_NOTICE_CELLS = 160


def _gpu_text(worker: WorkerView) -> str | None:
    return gpu_text(worker.memory_used, worker.memory_total, worker.utilisation)


def _command_of(run: RunRecord, _: Control) -> Message:
    from engine.command_line import command_line
    from engine.spec import RunSpec

    fork_of = None
    if run.parent_run is not None and run.parent_step is not None:
        fork_of = run.parent_run, run.parent_step
    return CommandLineReady(command_line(RunSpec.model_validate_json(run.spec), fork_of=fork_of))
