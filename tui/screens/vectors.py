"""A list of vectors over the whole screen, and the stored ones that are nearest to the z of a row."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from engine.errors import UserError
from engine.store.records import RunRecord
from tui.actions import Place, bindings
from tui.run_names import home_text
from tui.text import fit_text, safe_text
from tui.widgets.line_table import LineTable
from tui.wrapping import Line

if TYPE_CHECKING:
    from engine.nearest import Neighbour
    from tui.app import ExplorerApp

_HOME = 24
"""Cells for the name of a run, at most."""

_MOST = 200


@dataclass(frozen=True)
class RowOf:
    """A row of a run."""

    run: int
    step: int


class VectorsScreen(Screen[RowOf | None]):
    """A title, lines with a cursor, and the keys."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.VECTORS)

    own_place: ClassVar[Place | None] = None
    """Whose keys the lowest line names too."""

    def compose(self) -> ComposeResult:
        """Lay out the parts."""
        yield Static(id="vectors-title", markup=False)
        yield LineTable(id="vectors")
        yield from self.compose_more()
        own = "" if self.own_place is None else self.app.keymap.hints(self.own_place) + "  "
        hints = self.app.keymap.hints(Place.VECTORS, ("close",))
        yield Static(own + hints, id="vectors-keys", markup=False)

    def compose_more(self) -> ComposeResult:
        """Lay out what stands under the lines."""
        yield from ()

    def action_line_up(self) -> None:
        """Move up a line."""
        self.table.move(-1)

    def action_line_down(self) -> None:
        """Move down a line."""
        self.table.move(1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self.table.move_page(-1)

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self.table.move_page(1)

    def action_first_line(self) -> None:
        """Go to the first line."""
        self.table.move_to(0)

    def action_last_line(self) -> None:
        """Go to the last line."""
        self.table.move_to(1 << 31)

    def action_close(self) -> None:
        """Close."""
        self.dismiss(None)

    @property
    def table(self) -> LineTable:
        """The lines."""
        return self.query_one("#vectors", LineTable)

    def say(self, text: str) -> None:
        """Put something into the title."""
        self.query_one("#vectors-title", Static).update(safe_text(text))


class NearestScreen(VectorsScreen):
    """Returns the row to go to, or None when it was closed."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.NEAREST)
    own_place = Place.NEAREST

    def __init__(self, database: Path, run: RunRecord, step: int) -> None:
        super().__init__()
        self._database = database
        self._run = run
        self._step = step
        self._one_per_run = True
        self._found: Sequence[Neighbour] = ()
        self._is_open = True

    def on_mount(self) -> None:
        """Begin to compare."""
        self._compare()

    def on_unmount(self) -> None:
        """Compare no further."""
        self._is_open = False

    def action_toggle_all(self) -> None:
        """Show every vector, or of each run only the nearest."""
        self._one_per_run = not self._one_per_run
        self._compare()

    def action_open_row(self) -> None:
        """Go to the row of the line under the cursor."""
        if self.table.cursor is not None:
            one = self._found[self.table.cursor]
            self.dismiss(RowOf(one.run, one.step))

    @on(LineTable.Opened)
    def _open(self) -> None:
        self.action_open_row()

    def _compare(self) -> None:
        self._say("comparing …")
        self.run_worker(self._read(), exclusive=True)

    async def _read(self) -> None:
        one_per_run = self._one_per_run
        try:
            found = await asyncio.to_thread(self._nearest, one_per_run)
        except UserError as error:
            self._say(str(error))
            return
        if one_per_run == self._one_per_run:
            self._found = found
            which = "the nearest of each run" if one_per_run else f"the nearest {_MOST} at most"
            self._say(which)
            keys = [(one.run, one.step, one.kind) for one in found]
            self.table.show(
                found, keys, self._line, header=_header, placeholder="nothing else is stored for its bundle"
            )

    def _nearest(self, one_per_run: bool) -> "Sequence[Neighbour]":
        from engine.nearest import nearest
        from engine.store.reading import Reader

        with Reader(self._database) as reader:
            return nearest(
                reader,
                self._run.id,
                self._step,
                limit=_MOST,
                one_per_run=one_per_run,
                go_on=lambda compared: self._is_open and one_per_run == self._one_per_run,
            )

    def _say(self, text: str) -> None:
        home = f"{self._run.session}/{self._run.number}"
        self.say(f"near z of {home}, step {self._step}: {text}")

    def _line(self, index: int, width: int) -> Line:
        from tui.vector_tables import neighbour_text

        one = self._found[index]
        cells = _home_cells(width)
        home = fit_text(home_text(one.session, one.number, cells), cells)
        tone = "quiet" if one.text is None or one.text_step != one.step else ""
        text = neighbour_text(one)
        head = f" {one.cosine:>7.4f}  {home}  {one.step:>6}  {one.kind:<10}  "
        return [(head, ""), (safe_text(text, limit=max(width - len(head) - 1, 0)), tone)]


def _home_cells(width: int) -> int:
    return min(_HOME, width // 5)


def _header(width: int) -> Line:
    return [(f" {'cosine':>7}  {'run':<{_home_cells(width)}}  {'step':>6}  {'kind':<10}  text", "")]
