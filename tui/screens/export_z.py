"""Where to write the z of a row."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.errors import UserError
from engine.store.records import RunRecord
from tui.actions import Place, bindings
from tui.text import safe_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_NOTICE_S = 6.0


class ExportScreen(ModalScreen[None]):
    """Asks for a path and writes; stays open, and says why, when it cannot."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.EXPORT)

    def __init__(self, database: Path, run: RunRecord, step: int) -> None:
        super().__init__()
        self._database = database
        self._run = run
        self._step = step

    def compose(self) -> ComposeResult:
        """Lay out the path and the line under it."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(f"write z of step {self._step} to a file")
            box.border_subtitle = Content(self.app.keymap.hints(Place.EXPORT))
            yield Input(f"run-{self._run.id}-step-{self._step}-z.npy", compact=True, id="path")
            yield Static("NAME.npy or NAME.safetensors", id="outcome", markup=False)

    async def action_write(self) -> None:
        """Write the file."""
        typed = self.query_one("#path", Input).value.strip()
        outcome = self.query_one("#outcome", Static)
        try:
            length = await asyncio.to_thread(_write, self._database, self._run.id, self._step, typed)
        except UserError as error:
            outcome.add_class("-refused")
            outcome.update(safe_text(str(error)))
            return
        said = safe_text(f"Wrote z of step {self._step}, {length} numbers, to {typed}")
        self.notify(said, timeout=_NOTICE_S, markup=False)
        self.dismiss()

    def action_cancel(self) -> None:
        """Write nothing."""
        self.dismiss()

    @on(Input.Submitted)
    async def _submit(self) -> None:
        await self.action_write()


def _write(database: Path, run: int, step: int, typed: str) -> int:
    from engine.export import write_z
    from engine.store.reading import Reader

    if not typed:
        raise UserError("to: give the name of a file")
    try:
        path = Path(typed).expanduser()
    except RuntimeError:
        raise UserError(f"to: {typed}: there is no such user") from None
    with Reader(database) as reader:
        return write_z(reader, run, step, path)
