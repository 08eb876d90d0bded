"""What a screen can ask of the worker about the selected run, and what became of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message
from textual.screen import Screen

from engine.store.records import RunRecord, Status
from tui.actions import unavailable
from tui.pending import Asked, Pending, by_a_quarter
from tui.requests import Control, Requests
from tui.text import safe_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp

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


class Refused(Message):
    """Something else that was asked for cannot be."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class SteeringScreen(Screen[None]):
    """A screen with a selected run that its keys steer."""

    app: "ExplorerApp"

    def __init__(self, database: Path, requests: Requests) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self._pending = Pending()

    @property
    def selected_run(self) -> RunRecord | None:
        """The run that the keys are about."""
        raise NotImplementedError

    def show_steering(self) -> None:
        """Something is pending now, or is no longer."""
        raise NotImplementedError

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

    def _selected_or_say(self) -> RunRecord | None:
        run = self.selected_run
        if run is None:
            self._say("There is no run yet: press p to start the published experiment")
        return run
