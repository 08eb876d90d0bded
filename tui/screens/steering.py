"""What a screen can ask of the worker about the selected run, and what became of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message
from textual.screen import Screen

from engine.store.records import RunRecord, Status
from tui.actions import Place, unavailable, why_unavailable
from tui.pending import Asked, Pending, by_a_quarter
from tui.requests import Control, Refused, Requests
from tui.text import safe_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp
    from tui.screens.dialog import Dialog, Wanted

_ERROR_SHOWN_S = 8.0


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


class WorkersAsked(Message):
    """The workers of these devices were asked to leave."""

    def __init__(self, devices: Sequence[str]) -> None:
        super().__init__()
        self.devices = devices


class SteeringScreen(Screen[None]):
    """A screen with a selected run that its keys steer."""

    app: "ExplorerApp"

    def __init__(self, database: Path, requests: Requests) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self._pending = Pending()
        self._steps = 10
        self._added_steps = 100
        self.leaving_workers: Sequence[str] = ()
        """Devices whose workers were asked to leave with the screen."""

    @property
    def selected_run(self) -> RunRecord | None:
        """The run that the keys are about."""
        raise NotImplementedError

    @property
    def going_on(self) -> list[int]:
        """Ids of the runs that a worker has or will take up."""
        raise NotImplementedError

    @property
    def served_devices(self) -> list[str]:
        """Devices that have a worker now."""
        raise NotImplementedError

    def show_steering(self) -> None:
        """Something is pending now, or is no longer."""
        raise NotImplementedError

    def action_toggle_pause(self) -> None:
        """Pause the selected run, or let it go on, after all that is pending."""
        if run := self._available("toggle_pause"):
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
        run = self._available("stop")
        if run is None:
            return
        from tui.screens.question import QuestionScreen

        title = f"{run.session}/{run.number}"
        where = f"{title} at step {run.last_step or 0} of {run.steps}"
        question = f"Stop run {where}? {self._keys['resume']} goes on with it later."
        self.app.push_screen(
            QuestionScreen(question), lambda is_sure: self._ask(run, "stop") if is_sure else None
        )

    def action_resume(self) -> None:
        """Let a paused or ended run go on."""
        if run := self._selected_or_say():
            self._ask(run, "resume")

    def action_step(self) -> None:
        """Let the selected run make one step."""
        if run := self._available("step"):
            self._ask(run, "resume", {"steps": 1})

    def action_run_more(self) -> None:
        """Ask how many steps it is to make before it pauses."""
        if run := self._available("run_more"):
            from tui.screens.steps_dialogs import MoreStepsDialog

            self._open(run, MoreStepsDialog(run, self._requests, self._steps))

    def action_run_to(self) -> None:
        """Ask up to which step it is to go on before it pauses."""
        if run := self._available("run_to"):
            from tui.screens.steps_dialogs import UntilStepDialog

            self._open(run, UntilStepDialog(run, self._requests))

    def action_extend(self) -> None:
        """Ask how many steps are to be added."""
        if run := self._available("extend"):
            from tui.screens.steps_dialogs import ExtendDialog

            self._open(run, ExtendDialog(run, self._requests, self._added_steps))

    def action_set_lr(self) -> None:
        """Ask for a learning rate."""
        if run := self._available("set_lr"):
            from tui.screens.lr_dialog import LrDialog

            proposed = self._pending.lr(run.id, run.lr)
            self._open(run, LrDialog(run, self._requests, self._database, proposed))

    def action_set_weights(self) -> None:
        """Ask for weights of the loss terms."""
        if run := self._available("set_weights"):
            from tui.screens.weights_dialog import WeightsDialog

            proposed = self._pending.weights(run.id, run.weights)
            schedules = self._pending.schedules(run.id, run.schedules)
            self._open(run, WeightsDialog(run, self._requests, proposed, schedules))

    def action_break_points(self) -> None:
        """Ask for a break-point, or for one to be removed."""
        if run := self._available("break_points"):
            from tui.screens.break_points_dialog import BreakPointsDialog

            self._open(run, BreakPointsDialog(run, self._requests))

    def action_log(self) -> None:
        """Show what happened to the selected run."""
        if run := self._selected_or_say():
            from tui.screens.log import LogScreen

            self.app.push_screen(
                LogScreen(self._database, run),
                lambda goes_on: self._ask(run, "resume") if goes_on else None,
            )

    def action_leave_and_stop(self) -> None:
        """Leave and have the workers leave too; asks first when a run goes on."""
        going_on, devices = self.going_on, self.served_devices
        if not (going_on and devices):
            self._stop_workers(devices)
            return
        from tui.screens.question import QuestionScreen

        runs = ("Run" if len(going_on) == 1 else "Runs") + " " + ", ".join(map(str, going_on))
        pauses = "pauses where it is" if len(going_on) == 1 else "pause where they are"
        question = f"Leave and stop the worker? {runs} {pauses}; {self._keys['resume']} goes on later."
        self.app.push_screen(
            QuestionScreen(question), lambda is_sure: self._stop_workers(devices) if is_sure else None
        )

    def _stop_workers(self, devices: Sequence[str]) -> None:
        def stop(control: Control) -> Message:
            return WorkersAsked(
                [
                    device
                    for device in devices
                    if control.request_worker_stop(self._database, device) is not None
                ]
            )

        self._requests.submit(self, stop, Refused)

    @on(WorkersAsked)
    async def _leave_with_workers(self, message: WorkersAsked) -> None:
        self.leaving_workers = message.devices
        await self.app.action_leave()

    def _available(self, action: str) -> RunRecord | None:
        """The selected run, unless it rules the action out, which is said then."""
        run = self._selected_or_say()
        if run is not None and action in unavailable(run):
            self._say(why_unavailable(run, self._keys))
            return None
        return run

    def _open(self, run: RunRecord, dialog: "Dialog") -> None:
        """Open a dialog, and ask for what it returns."""

        def ask(wanted: "Wanted | None") -> None:
            if wanted is not None:
                self._remember(wanted)
                self._ask(run, wanted.kind, wanted.arguments)

        self.app.push_screen(dialog, ask)

    def _remember(self, wanted: "Wanted") -> None:
        """Propose the same number the next time."""
        if "steps" in wanted.arguments:
            if wanted.kind == "extend":
                self._added_steps = wanted.arguments["steps"]
            else:
                self._steps = wanted.arguments["steps"]

    def _set_lr(self, *, up: bool) -> None:
        if run := self._available("raise_lr"):
            lr = self._pending.lr(run.id, run.lr)
            if lr is not None:
                self._ask(run, "set", {"lr": by_a_quarter(lr, up=up)})

    def _ask(self, run: RunRecord, kind: str, arguments: Mapping[str, Any] | None = None) -> None:
        asked = self._pending.ask(run.id, kind, arguments or {})

        def save(control: Control) -> Message:
            return CommandSaved(asked, control.request(self._database, run.id, kind, arguments))

        self._requests.submit(self, save, lambda reason: CommandRefused(asked, reason))
        self.show_steering()

    @on(CommandSaved)
    def _command_saved(self, message: CommandSaved) -> None:
        self._pending.saved(message.asked, message.command)
        self.show_steering()

    @on(CommandRefused)
    def _command_refused(self, message: CommandRefused) -> None:
        self._pending.refused(message.asked)
        self._say(message.reason)
        self.show_steering()

    @on(Refused)
    def _say_refused(self, message: Refused) -> None:
        self._say(message.reason)

    def _say(self, reason: str) -> None:
        self.app.notify(safe_text(reason), severity="error", timeout=_ERROR_SHOWN_S, markup=False)

    @property
    def _keys(self) -> dict[str, str]:
        """What is written for the keys of the main screen's actions, by their names."""
        return self.app.keymap.keys(Place.EXPLORER)

    def _selected_or_say(self) -> RunRecord | None:
        run = self.selected_run
        if run is None:
            key = self._keys["run_published"]
            self._say(f"There is no run yet: press {key} to start the published experiment")
        return run
