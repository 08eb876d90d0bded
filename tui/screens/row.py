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
from tui.row_details import TokenLosses, read_token_losses, row_lines
from tui.screens.copy_row import CopyScreen
from tui.screens.export_z import ExportScreen
from tui.text import safe_text
from tui.trajectory import Trajectory
from tui.widgets.badges import match_sign
from tui.widgets.text_lines import TextLines

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
            database: Where token losses and vectors are read.
            run: The run.
            trajectory: Its rows; those that arrive while the row is open can be gone to.
            step: A step that has a row.
        """
        super().__init__()
        self._database = database
        self._run = run
        self._trajectory = trajectory
        self._index = trajectory.index_at(step)
        self._opened = step

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
        self.app.push_screen(CopyScreen(self._database, self._step))

    def action_export(self) -> None:
        """Ask where to write z."""
        self.app.push_screen(ExportScreen(self._database, self._run, self._step.step))

    async def action_fork(self) -> None:
        """Open the form for a new run from this row."""
        await self.app.explorer.fork(self._run, self._step.step)

    async def action_nearest(self) -> None:
        """Show the stored vectors that are nearest to z."""
        await asyncio.to_thread(import_module, "tui.screens.vectors")
        from tui.screens.vectors import NearestScreen

        screen = NearestScreen(self._database, self._run, self._step.step)
        self.app.push_screen(screen, self._go_to_row)

    async def action_interpolate(self) -> None:
        """Ask for another row, and show what is decoded on the way to it."""
        first = next(row.step for row in self._trajectory.rows if isinstance(row, StepRecord))
        await self.app.explorer.interpolate(self._run, self._step.step, first)

    async def _go_to_row(self, row: "RowOf | None") -> None:
        if row is not None:
            await self.app.explorer.go_to_row(row.run, row.step)

    def action_close(self) -> None:
        """Go back to the table, to the row that is shown."""
        step = self._step.step
        # Where the table followed its end when the row was opened, it may go on following.
        self.dismiss(None if step == self._opened else step)

    @property
    def _step(self) -> StepRecord:
        row = self._trajectory.nearest_step(self._index)
        assert row is not None, "a row is opened by its step"
        return row

    @property
    def _view(self) -> TextLines:
        return self.query_one("#row", TextLines)

    def _go_to_nearest(self, *, forward: bool, otherwise: str) -> None:
        nearest = next(self._trajectory.steps_from(self._index, forward=forward), None)
        self._go_to(nearest and nearest[0], otherwise)

    def _go_to(self, index: int | None, otherwise: str) -> None:
        if index is None:
            self.notify(otherwise, timeout=_NOTICE_S)
        else:
            self._index = index
            self._view.scroll_home(animate=False)
            self._show()

    def _show(self) -> None:
        step = self._step
        name = f"  {self._run.name}" if self._run.name else ""
        title = f"{self._run.session}/{self._run.number}{name}, step {step.step} of {self._run.steps}"
        sign = match_sign(step.match).strip()
        self._view.border_title = Content(safe_text(f"{title}  {sign}".rstrip(), limit=100))
        self._show_lines(step, None)
        self.run_worker(self._read(step), exclusive=True)

    def _show_lines(self, step: StepRecord, tokens: TokenLosses | None) -> None:
        self._view.show(partial(row_lines, self._run, self._trajectory, step, tokens))

    async def _read(self, step: StepRecord) -> None:
        try:
            tokens = await asyncio.to_thread(read_token_losses, self._database, self._run, step)
        except UserError as error:
            tokens = TokenLosses(notice=str(error))
        self._show_lines(step, tokens)
