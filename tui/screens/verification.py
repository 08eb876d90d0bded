"""A run is verified: how far that is, and what came of it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.records import RunRecord, TaskRecord
from engine.verdict import Verdict
from tui.actions import Place, bindings
from tui.requests import Control, Refused, Requests
from tui.text import safe_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_LOOK_S = 0.2


class VerificationAsked(Message):
    """The verification is in the database."""

    def __init__(self, task: int) -> None:
        super().__init__()
        self.task = task


class VerificationScreen(ModalScreen[None]):
    """Asks for a verification of a run, or joins the one that is going on; closing it changes nothing."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.VERIFICATION)

    def __init__(self, database: Path, run: RunRecord, requests: Requests) -> None:
        super().__init__()
        self._database = database
        self._run = run
        self._requests = requests
        self._verification: int | None = None
        self._has_ended = False

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        with Vertical(id="verification") as box:
            title = f"{self._run.session}/{self._run.number}: verified against its record"
            box.border_title = Content(safe_text(title, limit=60))
            box.border_subtitle = Content(self.app.keymap.hints(Place.VERIFICATION))
            yield Static("asking", markup=False, id="verdict")

    def on_mount(self) -> None:
        """Ask for it."""
        self._requests.submit(self, self._ask, Refused)

    def action_close(self) -> None:
        """Close; a verification that is going on does so, and its outcome is an event of the run."""
        self.dismiss(None)

    def action_cancel(self) -> None:
        """Have the verification given up."""
        if self._verification is not None and not self._has_ended:
            task = self._verification
            self._requests.submit(self, lambda control: control.cancel_task(self._database, task), Refused)

    def _ask(self, control: Control) -> Message:
        with Reader(self._database) as reader:
            going_on = [
                task.id for task in reader.tasks(run=self._run.id, kind="verify") if not task.has_ended
            ]
        task = going_on[-1] if going_on else control.request_task(self._database, "verify", run=self._run.id)
        return VerificationAsked(task)

    @on(Refused)
    def _say_why_not(self, message: Refused) -> None:
        self._show_end(_plain(message.reason))

    @on(VerificationAsked)
    def _begin_to_look(self, message: VerificationAsked) -> None:
        self._verification = message.task
        self._look(message.task)

    @work(exclusive=True)
    async def _look(self, number: int) -> None:
        before = None
        while True:
            try:
                task = await asyncio.to_thread(_read, self._database, number)
            except UserError as error:
                self._show_end(_plain(str(error)))
                return
            if task != before:
                self._show_task(task)
            if task.has_ended:
                return
            before = task
            await asyncio.sleep(_LOOK_S)

    def _show_task(self, task: TaskRecord) -> None:
        if task.status == "pending":
            self._show(_plain("waits for the worker"))
        elif task.status == "running":
            rows = f"{task.done} of {task.total} rows" if task.total else "loading models"
            self._show(_plain(f"making it again: {rows}"))
        elif task.result is None:
            self._show_end(_plain(f"{task.status}: {task.error}" if task.error else task.status))
        else:
            from tui.verdict_text import verdict_text

            verdict = Verdict.from_result(task.result)
            self._show_end(verdict_text(verdict), tone="-equal" if verdict.equal else "-refused")

    def _show_end(self, said: Content, *, tone: str = "-refused") -> None:
        """Say the last there is to say: nothing goes on any more that could be given up."""
        self._has_ended = True
        box = self.query_one("#verification")
        box.border_subtitle = Content(self.app.keymap.hints(Place.VERIFICATION, {"close"}))
        self.query_one("#verdict").set_class(True, tone)
        self._show(said)

    def _show(self, said: Content) -> None:
        self.query_one("#verdict", Static).update(said)


def _plain(line: str) -> Content:
    return Content(safe_text(line))


def _read(database: Path, task: int) -> TaskRecord:
    with Reader(database) as reader:
        return reader.task(task)
