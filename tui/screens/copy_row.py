"""Which part of a row to put into the clipboard."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.errors import UserError
from engine.store.records import StepRecord
from tui.actions import Place, bindings
from tui.text import safe_text
from tui.widgets.badges import TONE_COLOURS

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_NOTICE_S = 3.0


class CopyScreen(ModalScreen[None]):
    """Copies by OSC 52, which reaches the clipboard of the terminal's own machine."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.COPY)

    def __init__(self, database: Path, step: StepRecord) -> None:
        super().__init__()
        self._database = database
        self._step = step

    def compose(self) -> ComposeResult:
        """Lay out the choices."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(f"copy from step {self._step.step}")
            for action in self.app.keymap.at(Place.COPY):
                key = (action.shown_key.ljust(5), TONE_COLOURS["busy"])
                yield Static(Content.assemble(key, action.label))

    def action_copy_prediction(self) -> None:
        """Copy the decoded prediction."""
        self._copy(self._step.decoded_prediction, "the prediction")

    def action_copy_z(self) -> None:
        """Copy what z decodes to."""
        self._copy(self._step.decoded_z, "z's text")

    async def action_copy_row(self) -> None:
        """Copy the row as the command line's JSON."""
        try:
            line = await asyncio.to_thread(_json, self._database, self._step)
        except UserError as error:
            self._warn(safe_text(str(error)))
        else:
            self._copy(line, "the row")

    async def action_copy_numbers(self) -> None:
        """Copy z as a JSON list of its numbers."""
        try:
            numbers = await asyncio.to_thread(_numbers, self._database, self._step)
        except UserError as error:
            self._warn(safe_text(str(error)))
        else:
            self._copy(numbers, "z")

    def action_cancel(self) -> None:
        """Copy nothing."""
        self.dismiss()

    def _copy(self, text: str | None, what: str) -> None:
        if text is None:
            self._warn(f"Step {self._step.step} was not decoded: there is no text")
            return
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied {what} of step {self._step.step}", timeout=_NOTICE_S, markup=False)
        self.dismiss()

    def _warn(self, reason: str) -> None:
        self.notify(reason, severity="warning", timeout=_NOTICE_S, markup=False)


def _numbers(database: Path, step: StepRecord) -> str:
    from engine.store.reading import Reader

    with Reader(database) as reader:
        z = reader.vector(step.run, step.step, "z")
    if z is None:
        raise UserError(f"The z of step {step.step} was not kept")
    # The fewest digits that give the same float32 again.
    return f"[{', '.join(str(number) for number in z)}]"


def _json(database: Path, step: StepRecord) -> str:
    from engine.export import step_line  # slow to import
    from engine.store.reading import Reader

    with Reader(database) as reader:
        return step_line(reader, step)
