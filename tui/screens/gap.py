"""The gap view of a run: does the text of z carry the prediction, or only the vector?"""

import asyncio
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from engine.errors import UserError
from engine.gap import GapIndex, GapRow, headline, how_to_measure
from engine.store.reading import Reader
from engine.store.records import RunRecord
from tui.actions import Place, bindings
from tui.text import safe_text
from tui.trajectory import Trajectory
from tui.widgets.gap_view import GapView, SeenGroups

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_UPDATE_S = 1.0
_NOTICE_S = 3.0
_NAMED_KEYS = ("previous_group", "next_group", "first_group", "last_group", "open_row", "close")


@dataclass(frozen=True)
class Seen:
    """What was read of a run."""

    run: RunRecord
    newest: GapRow | None
    groups: SeenGroups
    is_behind: bool


class GapSource:
    """Reads the rows; on one thread at a time, and never on the screen's."""

    def __init__(self, database: Path, run: int, until: int | None) -> None:
        self._database = database
        self._index = GapIndex(run, until=until)

    def look(self, wanted: range, *, is_at_top: bool) -> Seen:
        """Read what is new, and the rows of some groups.

        Args:
            wanted: Places of the groups as they were seen last.
            is_at_top: Wanted are the first ones of all, and not those same.

        Raises:
            UserError: the database cannot be read, or the run is not there any more.
        """
        index = self._index
        is_at_end = wanted.stop > len(index)
        with Reader(self._database) as reader:
            older = index.update(reader)
            if is_at_end:  # the end may have moved on
                wanted = range(max(len(index) - len(wanted), 0), len(index))
            elif not is_at_top:
                wanted = range(wanted.start + older, wanted.stop + older)
            rows = index.rows(reader, wanted)
        assert index.record is not None
        groups = SeenGroups(
            " ".join(index.record.targets),
            array("q", index.first_steps),
            array("q", index.last_steps),
            array("q", index.counts),
            {row.step: row for row in rows},
        )
        return Seen(index.record, index.newest, groups, index.is_behind)


class GapScreen(Screen[None]):
    """Follows the run as long as it is open."""

    app: "ExplorerApp"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.GAP)

    def __init__(
        self,
        database: Path,
        run: RunRecord,
        trajectory: Callable[[], Trajectory],
        *,
        until: int | None = None,
    ) -> None:
        """Show the gap of a run.

        Args:
            database: Where its rows are read.
            run: The run.
            trajectory: Gives its rows, for the one that is opened.
            until: The last step that is shown, as in a replay; None: all, as they come.
        """
        super().__init__()
        self._database = database
        self._run = run
        self._trajectory = trajectory
        self._until = until
        self._source = GapSource(database, run.id, until)
        self._asked = asyncio.Event()

    def compose(self) -> ComposeResult:
        """Lay out title, headline, rows and keys."""
        yield Static(id="gap-title", markup=False)
        yield Static(id="gap-headline", markup=False)
        yield GapView(id="gap")
        yield Static(self.app.keymap.hints(Place.GAP, _NAMED_KEYS), id="gap-keys", markup=False)

    def on_mount(self) -> None:
        """Start looking, now and every second."""
        self._say("reading …")
        self.run_worker(self._follow())

    async def _follow(self) -> None:
        while True:
            self._asked.clear()
            try:
                seen = await asyncio.to_thread(
                    self._source.look, self._view.wanted, is_at_top=self._view.is_at_top
                )
            except UserError as error:
                self._say(str(error))
            else:
                self._show(seen)
                if seen.is_behind:
                    continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _UPDATE_S)

    @on(GapView.Missing)
    def _look_now(self) -> None:
        self._asked.set()

    def action_previous_group(self) -> None:
        """Move up a group of steps."""
        self._view.move(-1)

    def action_next_group(self) -> None:
        """Move down a group of steps."""
        self._view.move(1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self._view.move_page(-1)

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self._view.move_page(1)

    def action_first_group(self) -> None:
        """Go to the first decoded row."""
        self._view.move_to(0)

    def action_last_group(self) -> None:
        """Go to the newest decoded row and follow."""
        self._view.move_to_end()

    def action_open_row(self) -> None:
        """Open the newest row of the group under the cursor."""
        from tui.screens.row import RowScreen

        trajectory, step = self._trajectory(), self._view.step
        if step is None or trajectory.index_of(step) is None:
            self.notify("Its rows are still being read", timeout=_NOTICE_S)
        else:
            self.app.push_screen(RowScreen(self._database, self._run, trajectory, step))

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()

    def _show(self, seen: Seen) -> None:
        self._run = seen.run
        run, newest = seen.run, seen.newest
        name = f" {run.name}" if run.name else ""
        replayed = "" if self._until is None else f", replayed up to step {self._until}"
        self._put(self.query_one("#gap-title", Static), f"gap  {run.session}/{run.number}{name}{replayed}")
        lacks = newest is not None and newest.reread_prediction is None
        self._say(headline(run, newest) + f"\n{how_to_measure(run)}" * lacks)
        self._view.show(seen.groups)

    def _say(self, words: str) -> None:
        shown = "\n".join(safe_text(line) for line in words.splitlines())
        self._put(self.query_one("#gap-headline", Static), shown)

    def _put(self, bar: Static, shown: str) -> None:
        if shown != str(bar.content):
            bar.update(shown)

    @property
    def _view(self) -> GapView:
        return self.query_one(GapView)
