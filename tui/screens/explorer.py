"""The main screen: runs on the left, the selected run on the right."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from engine.store.records import RunRecord, Status
from tui.actions import Place, bindings, unavailable
from tui.live import (
    DatabaseMissing,
    DatabaseUnreadable,
    DatabaseWatcher,
    RunsRead,
    TrajectoryRead,
    WorkerView,
    WorkerWanted,
)
from tui.pending import Asked, Pending, by_a_quarter, describe
from tui.requests import Control, Requests
from tui.step_rate import StepRate
from tui.text import safe_text
from tui.trajectory import Trajectory
from tui.widgets.action_bar import ActionBar
from tui.widgets.loss_strip import LossStrip
from tui.widgets.run_header import HeaderView, RunHeader
from tui.widgets.run_list import RunList
from tui.widgets.trajectory_table import TrajectoryTable

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_ERROR_SHOWN_S = 8.0


class RunQueued(Message):
    """A run was saved and waits for its worker."""

    def __init__(self, run: int) -> None:
        super().__init__()
        self.run = run


class CommandSaved(Message):
    """A command is in the database."""

    def __init__(self, asked: Asked, command: int) -> None:
        super().__init__()
        self.asked = asked
        self.command = command


class CommandRefused(Message):
    """A command cannot be; nothing was asked of the worker."""

    def __init__(self, asked: Asked, reason: str) -> None:
        super().__init__()
        self.asked = asked
        self.reason = reason


class Refused(Message):
    """Something else that was asked for cannot be."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class FormReady(Message):
    """What the form for a new run needs is imported."""


class ReadyToLeave(Message):
    """Everything that was asked for before leaving has been carried out."""


class ExplorerScreen(Screen[None]):
    """Shows what the database watcher reads, and asks for what the keys say."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.EXPLORER)
    app: "ExplorerApp"

    def __init__(self, database: Path, requests: Requests, clock: Callable[[], float]) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self._watcher = DatabaseWatcher(database, self.post_message, clock=clock)
        self._workers: tuple[WorkerView, ...] = ()
        self._trajectory = Trajectory()
        self._shown_run: int | None = None
        self._rate = StepRate()
        self._pending = Pending()
        self._is_form_coming = False
        self._queued: set[int] = set()

    def compose(self) -> ComposeResult:
        """Lay out the panes."""
        yield Static(id="notice", markup=False)
        with Horizontal(id="panes"):
            yield RunList(id="runs")
            with Vertical(id="run"):
                yield RunHeader(id="header")
                yield LossStrip(id="strip")
                yield TrajectoryTable(id="table")
        yield ActionBar(id="actions")

    def on_mount(self) -> None:
        """Start watching the database."""
        self._list.focus()
        self._header.display = False
        self._actions.dim(unavailable(None))
        self.call_after_refresh(self._watcher.start)

    def on_unmount(self) -> None:
        """Stop watching it."""
        self._watcher.stop()

    @property
    def going_on(self) -> list[int]:
        """Ids of the runs that a worker has or will take up, those that were just queued included."""
        statuses = (Status.QUEUED, Status.LOADING, Status.RUNNING)
        shown = {view.record.id: view.record.status in statuses for view in self._list.runs}
        return sorted({*(run for run, goes_on in shown.items() if goes_on), *(self._queued - shown.keys())})

    # What is read

    @on(RunsRead)
    def _show_runs(self, message: RunsRead) -> None:
        self._workers = message.workers
        self._show_notice(message.notice)
        self._list.show_runs(message.runs)
        if not message.runs:
            self._show_nothing_yet()
        self._show_header()

    @on(DatabaseMissing)
    def _show_missing(self) -> None:
        self._show_notice(None)
        self._list.show_runs(())
        self._show_nothing_yet()
        self._show_header()

    @on(DatabaseUnreadable)
    def _show_unreadable(self, message: DatabaseUnreadable) -> None:
        self._show_notice(message.reason)

    @on(TrajectoryRead)
    def _show_trajectory(self, message: TrajectoryRead) -> None:
        if message.run != self._shown_run:
            return
        self._pending.read(message.run, message.commands)
        if message.is_first:
            is_again = bool(self._trajectory.rows)
            self._trajectory = Trajectory()
            self._rate.restart()
            self._trajectory.extend(message.steps, message.events)
            view = self._list.selected
            self._table.show_trajectory(
                self._trajectory, target=view.record.target if view else "", keep_place=is_again
            )
        else:
            self._table.rows_added(self._trajectory.extend(message.steps, message.events))
        if message.steps and message.is_complete:
            self._rate.arrived(message.steps[-1].step, message.at_s)
        self._table.show_placeholder("No steps yet")
        self._show_strip()
        self._show_header()

    @on(RunList.Selected)
    def _follow_selected(self) -> None:
        view = self._list.selected
        run = view.record.id if view else None
        if run != self._shown_run:
            self._shown_run = run
            self._trajectory = Trajectory()
            self._rate.restart()
            self._table.show_placeholder(*(() if view else _NOTHING_YET))
            self._table.show_trajectory(self._trajectory)
            self._watcher.select(run)
            self._show_strip()
            self._show_header()

    # What is asked for

    def action_new_run(self) -> None:
        """Open the form for a new run."""
        if not self._is_form_coming:
            self._is_form_coming = True
            self._requests.submit(self, _import_form, Refused)

    @on(FormReady)
    def _open_form(self) -> None:
        from tui.screens.new_run import NewRunScreen

        self._is_form_coming = False
        self.app.push_screen(NewRunScreen(self._database, self._requests), self._select_queued)

    def action_run_published(self) -> None:
        """Queue the published experiment."""

        def queue(control: Control) -> Message:
            from engine.spec import RunSpec

            return RunQueued(control.queue_run(self._database, RunSpec()))

        self._requests.submit(self, queue, Refused)

    @on(RunQueued)
    def _select_new(self, message: RunQueued) -> None:
        self._select_queued(message.run)

    def _select_queued(self, run: int | None) -> None:
        if run is not None:
            self._queued.add(run)
            self._list.select_run(run)
            self._list.focus()

    def action_toggle_pause(self) -> None:
        """Pause the selected run, or let it go on, after all that is pending."""
        if run := self._selected_or_say():
            is_paused = self._pending.will_be_paused(run.id, is_paused=run.status is Status.PAUSED)
            self._ask(run, "resume" if is_paused else "pause")

    def action_raise_lr(self) -> None:
        """Set the learning rate a quarter higher."""
        self._set_lr(up=True)

    def action_lower_lr(self) -> None:
        """Set the learning rate a quarter lower."""
        self._set_lr(up=False)

    def action_stop(self) -> None:
        """Ask, then stop the selected run."""
        run = self._selected_or_say()
        if run is None:
            return
        if "stop" in unavailable(run):
            self._ask(run, "stop")  # refused with the reason; there is nothing to ask the user first
            return
        from tui.screens.question import QuestionScreen

        title = f"{run.session}/{run.number}"
        question = f"Stop run {title} at step {run.last_step or 0} of {run.steps}? r goes on with it later."
        self.app.push_screen(
            QuestionScreen(question), lambda is_sure: self._ask(run, "stop") if is_sure else None
        )

    def action_resume(self) -> None:
        """Let a paused or ended run go on."""
        if run := self._selected_or_say():
            self._ask(run, "resume")

    def _set_lr(self, *, up: bool) -> None:
        if run := self._selected_or_say():
            lr = self._pending.lr(run.id, run.lr)
            if lr is not None:
                self._ask(run, "set", {"lr": by_a_quarter(lr, up=up)})

    def _ask(self, run: RunRecord, kind: str, arguments: Mapping[str, Any] | None = None) -> None:
        asked = self._pending.ask(run.id, kind, arguments or {})

        def save(control: Control) -> Message:
            return CommandSaved(asked, control.request(self._database, run.id, kind, arguments))

        self._requests.submit(self, save, lambda reason: CommandRefused(asked, reason))
        self._show_header()

    @on(CommandSaved)
    def _command_saved(self, message: CommandSaved) -> None:
        self._pending.saved(message.asked, message.command)
        self._show_header()

    @on(CommandRefused)
    def _command_refused(self, message: CommandRefused) -> None:
        self._pending.refused(message.asked)
        self._say(message.reason)
        self._show_header()

    @on(Refused)
    def _say_refused(self, message: Refused) -> None:
        self._is_form_coming = False
        self._say(message.reason)

    @on(WorkerWanted)
    def _want_worker(self, message: WorkerWanted) -> None:
        def start(control: Control) -> None:
            control.ensure_worker(self._database, message.device)

        self._requests.submit(self, start, Refused)

    # Moving about

    def action_next_pane(self) -> None:
        """Move the focus to the other pane."""
        if self._table.has_focus and self._list.display:
            self._list.focus()
        else:
            self._table.focus()

    def action_toggle_runs(self) -> None:
        """Hide or show the list, so that a narrow terminal has room for the table."""
        self._list.display = not self._list.display
        (self._list if self._list.display else self._table).focus()

    @on(RunList.Opened)
    def _go_to_table(self) -> None:
        self._table.focus()

    @on(TrajectoryTable.Left)
    def _go_to_list(self) -> None:
        self._list.display = True
        self._list.focus()

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
        self.app.leave_now(self.going_on)

    # Parts

    def _show_header(self) -> None:
        view = self._list.selected
        run = view.record if view else None
        self._actions.dim(unavailable(run))
        if run is None:
            self._header.show(None)
            return
        if run.status is not Status.RUNNING:
            self._rate.restart()
        rejected = self._pending.rejection(run.id)
        reason = f"{describe(rejected.kind, rejected.arguments)}: {rejected.reason}" if rejected else None
        worker = next(
            (worker.state for worker in self._workers if worker.device == run.device and worker.alive), None
        )
        self._header.show(
            HeaderView(
                run,
                steps_per_second=self._rate.steps_per_second,
                pending=tuple(describe(kind, arguments) for kind, arguments in self._pending.of(run.id)),
                rejection=reason,
                worker=worker,
            )
        )

    def _show_strip(self) -> None:
        view, last = self._list.selected, self._trajectory.last_step
        self._strip.set_class(last is not None, "-filled")
        if view is not None and last is not None:
            self._strip.show(self._trajectory.curve, (last.step + 1) / (view.record.steps + 1))

    def _show_nothing_yet(self) -> None:
        self._table.show_placeholder(*_NOTHING_YET)

    def _show_notice(self, notice: str | None) -> None:
        bar = self.query_one("#notice", Static)
        shown = safe_text(notice or "")
        if shown != str(bar.content):
            bar.update(shown)
        bar.display = bool(shown)

    def _say(self, reason: str) -> None:
        self.app.notify(safe_text(reason), severity="error", timeout=_ERROR_SHOWN_S, markup=False)

    def _selected_or_say(self) -> RunRecord | None:
        view = self._list.selected
        if view is None:
            self._say("There is no run yet: press p to start the published experiment")
            return None
        return view.record

    @property
    def _list(self) -> RunList:
        return self.query_one("#runs", RunList)

    @property
    def _header(self) -> RunHeader:
        return self.query_one("#header", RunHeader)

    @property
    def _strip(self) -> LossStrip:
        return self.query_one("#strip", LossStrip)

    @property
    def _table(self) -> TrajectoryTable:
        return self.query_one("#table", TrajectoryTable)

    @property
    def _actions(self) -> ActionBar:
        return self.query_one("#actions", ActionBar)


_NOTHING_YET = (
    "No runs yet",
    "",
    "Press p to start the published experiment,",
    "or n to describe a run of your own.",
)


def _import_form(_: Control) -> Message:
    """Import on this thread what is slow to import, and the tokenizer with it."""
    from engine.spec import RunSpec
    from engine.tokens import check_lengths
    from tui.screens import new_run  # noqa: F401

    check_lengths(RunSpec())
    return FormReady()
