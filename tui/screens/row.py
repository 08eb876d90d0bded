"""One row of a trajectory, opened: all that is stored about it."""

import asyncio
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen

from engine.errors import UserError
from engine.store.records import RunRecord, StepRecord
from tui.actions import Place, bindings
from tui.row_details import OpenedRow, TokenLosses, read_row, read_token_losses, row_lines
from tui.screens.copy_row import CopyScreen
from tui.screens.export_z import ExportScreen
from tui.text import safe_text
from tui.trajectory import Trajectory
from tui.widgets.badges import match_sign
from tui.widgets.text_lines import TextLines
from tui.wrapping import wrapped

if TYPE_CHECKING:
    from tui.app import ExplorerApp
    from tui.screens.vectors import RowOf

_NOTICE_S = 3.0
_HINTS = (
    (("previous_step", "next_step"), "row"),
    (("previous_change", "next_change"), "change"),
    (("copy",), "copy"),
    (("export",), "save"),
    (("fork",), "fork"),
    (("nearest",), "near"),
    (("interpolate",), "mix"),
    (("close",), "back"),
)
"""What the lower edge names: actions whose keys stand together, and a word for them."""


class RowScreen(Screen[int | None]):
    """Shows the row of a step, and of those beside it by key; returns the step that was gone to, if any."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.ROW)

    def __init__(self, database: Path, run: RunRecord, trajectory: Trajectory, step: int) -> None:
        """Open a row.

        Args:
            database: Where rows, token losses and vectors are read.
            run: The run.
            trajectory: Its rows; those that arrive while the row is open can be gone to.
            step: A step that has a row.
        """
        super().__init__()
        self._database = database
        self._run = run
        self._trajectory = trajectory
        self._step = step
        self._opened = step
        self._row: StepRecord | None = None
        """The row that is shown; None while it is read."""

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        yield TextLines(id="row")

    def on_mount(self) -> None:
        """Show the row."""
        keys = self.app.keymap.keys(Place.ROW)
        hints = (" ".join([*map(keys.__getitem__, names), word]) for names, word in _HINTS)
        self._view.border_subtitle = Content("  ".join(hints))
        self._show()

    def action_previous_step(self) -> None:
        """Show the row before."""
        self._go_to_nearest(forward=False, otherwise="This is the first row")

    def action_next_step(self) -> None:
        """Show the row after."""
        self._go_to_nearest(forward=True, otherwise="This is the last row")

    def action_previous_change(self) -> None:
        """Show the last row before this one whose decoded prediction is another one."""
        self._go_to(self._trajectory.previous_change(self._index), "No earlier change of the prediction")

    def action_next_change(self) -> None:
        """Show the next row whose decoded prediction is another one."""
        self._go_to(self._trajectory.next_change(self._index), "No later change of the prediction")

    def action_line_up(self) -> None:
        """Scroll up a line."""
        self._view.scroll_up(animate=False)

    def action_line_down(self) -> None:
        """Scroll down a line."""
        self._view.scroll_down(animate=False)

    def action_page_up(self) -> None:
        """Scroll up a screenful."""
        self._view.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Scroll down a screenful."""
        self._view.scroll_page_down(animate=False)

    def action_first_line(self) -> None:
        """Scroll to the first line."""
        self._view.scroll_home(animate=False)

    def action_last_line(self) -> None:
        """Scroll to the last line."""
        self._view.scroll_end(animate=False)

    def action_copy(self) -> None:
        """Ask what to copy."""
        if self._row is not None:
            self.app.push_screen(CopyScreen(self._database, self._row))

    def action_export(self) -> None:
        """Ask where to write z."""
        self.app.push_screen(ExportScreen(self._database, self._run, self._step))

    async def action_fork(self) -> None:
        """Open the form for a new run from this row."""
        await self.app.explorer.fork(self._run, self._step)

    async def action_nearest(self) -> None:
        """Show the stored vectors that are nearest to z."""
        await asyncio.to_thread(import_module, "tui.screens.vectors")
        from tui.screens.vectors import NearestScreen

        screen = NearestScreen(self._database, self._run, self._step)
        self.app.push_screen(screen, self._go_to_row)

    async def action_interpolate(self) -> None:
        """Ask for another row, and show what is decoded on the way to it."""
        first = self._trajectory.first_step
        await self.app.explorer.interpolate(self._run, self._step, self._step if first is None else first)

    async def _go_to_row(self, row: "RowOf | None") -> None:
        if row is not None:
            await self.app.explorer.go_to_row(row.run, row.step)

    def action_close(self) -> None:
        """Go back to the table, to the row that is shown."""
        # Where the table followed its end when the row was opened, it may go on following.
        self.dismiss(None if self._step == self._opened else self._step)

    @property
    def _index(self) -> int:
        return self._trajectory.index_at(self._step)

    @property
    def _view(self) -> TextLines:
        return self.query_one("#row", TextLines)

    def _go_to_nearest(self, *, forward: bool, otherwise: str) -> None:
        self._go_to(self._trajectory.step_beyond(self._index, forward=forward), otherwise)

    def _go_to(self, index: int | None, otherwise: str) -> None:
        if index is None:
            self.notify(otherwise, timeout=_NOTICE_S)
        else:
            self._step = self._trajectory.step_at(index)
            self._view.scroll_home(animate=False)
            self._show()

    def _show(self) -> None:
        self._row = None
        row = self._held()
        if row is None:
            self._show_title("")
            self._view.show(lambda _: [[("reading …", "quiet")]])
        else:
            self._show_row(row, None)
        self.run_worker(self._read(row), exclusive=True)

    def _held(self) -> OpenedRow | None:
        """The row, where it and the decoded one before it are held."""
        trajectory, index = self._trajectory, self._index
        row = trajectory.row(index)
        decoded_at = trajectory.decoded_before(index + 1)
        decoded = None if decoded_at is None else trajectory.row(decoded_at)
        if not isinstance(row, StepRecord) or (decoded is None) != (decoded_at is None):
            return None
        return OpenedRow(row, decoded if isinstance(decoded, StepRecord) else None)

    def _show_title(self, sign: str) -> None:
        name = f"  {self._run.name}" if self._run.name else ""
        title = f"{self._run.session}/{self._run.number}{name}, step {self._step} of {self._run.steps}"
        self._view.border_title = Content(safe_text(f"{title}  {sign}".rstrip(), limit=100))

    def _show_row(self, row: OpenedRow, tokens: TokenLosses | None) -> None:
        self._row = row.step
        self._show_title(match_sign(row.step.match).strip())
        self._view.show(partial(row_lines, self._run, tuple(self._trajectory.events), row, tokens))

    async def _read(self, row: OpenedRow | None) -> None:
        try:
            if row is None:
                row = await asyncio.to_thread(read_row, self._database, self._run.id, self._step)
                self._show_row(row, None)
            tokens = await asyncio.to_thread(read_token_losses, self._database, self._run, row.step)
        except UserError as error:
            tokens = TokenLosses(notice=str(error))
        if row is None:
            self._view.show(lambda width: wrapped([(safe_text(tokens.notice), "bad")], width))
        else:
            self._show_row(row, tokens)
