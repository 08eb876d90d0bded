"""What opens over the main screen, about the runs that are selected or marked in it."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from textual import on

from engine.comparison.choice import FEWEST_RUNS
from engine.store.records import RunRecord
from tui.actions import Place
from tui.curves import Charted, Curves
from tui.replay import ReplayRequest
from tui.requests import Requests
from tui.screens.starting import StartingScreen
from tui.widgets.chart_strip import ChartStrip
from tui.widgets.trajectory_table import TrajectoryTable


class OpeningScreen(StartingScreen):
    """A starting screen over which others open."""

    _curves: Curves

    def __init__(self, database: Path, requests: Requests, clock: Callable[[], float]) -> None:
        super().__init__(database, requests)
        self._clock = clock

    async def action_open_chart(self) -> None:
        """Show the figure of the strip on the whole screen."""
        if run := self._selected_or_say():
            await asyncio.to_thread(import_module, "tui.screens.chart")  # with numpy, a fifth of a second
            from tui.screens.chart import ChartScreen

            chart, is_log = self._strip.chart, self._strip.is_log
            self.app.push_screen(ChartScreen(self._database, run.id, self._charted, chart, is_log=is_log))

    async def action_compare(self) -> None:
        """Show the marked runs side by side; one that is marked, beside the selected one."""
        runs = self._list.marks.runs
        if len(runs) < FEWEST_RUNS and self.selected_run and self.selected_run.id not in runs:
            runs = (*runs, self.selected_run.id)
        if len(runs) < FEWEST_RUNS:
            key = self.app.keymap.keys(Place.RUNS)["mark"]
            self.notify(f"Mark the runs to compare with {key} in the list: two to eight", markup=False)
            return
        await asyncio.to_thread(import_module, "tui.screens.compare")
        from tui.screens.compare import CompareScreen

        self.app.push_screen(CompareScreen(self._database, runs))

    async def action_gap(self) -> None:
        """Show whether the text of z carries the prediction of the selected run."""
        if run := self._selected_or_say():
            await asyncio.to_thread(import_module, "tui.screens.gap")
            from tui.screens.gap import GapScreen

            self.app.push_screen(GapScreen(self._database, run, lambda: self._trajectory))

    def action_replay(self) -> None:
        """Play the selected run again, from its start or from the row that the cursor is on."""
        run = self._selected_or_say()
        if run is not None and run.last_step is None:
            self._say(f"run {run.id}: has no rows yet: there is nothing to replay")
        elif run is not None:
            row = self._table.place if self._table.has_focus else None
            self.replay(ReplayRequest(run.id, row or 0))

    def replay(self, request: ReplayRequest) -> None:
        """Play a run again over this screen, with what its strip draws."""
        from tui.screens.replay import ReplayScreen

        chart, is_log = self._strip.chart, self._strip.is_log
        replay = ReplayScreen(
            self._database, request, self._requests, self._clock, chart=chart, is_log=is_log
        )
        self.app.push_screen(replay)
        self._list.select_run(request.run)

    def action_verify(self) -> None:
        """Make the selected run again, and compare it with its record."""
        if run := self._selected_or_say():
            from tui.screens.verification import VerificationScreen

            self.app.push_screen(VerificationScreen(self._database, run, self._requests))

    async def interpolate(self, run: RunRecord, step: int, first: int) -> None:
        """Ask for the other end of a way from a row; `first`: the first row of the run."""
        await asyncio.to_thread(import_module, "tui.screens.interpolation")
        from tui.screens.interpolation import open_interpolation

        open_interpolation(self.app, self._database, self._requests, run, step, first)

    @on(TrajectoryTable.Opened)
    def _open_row(self, message: TrajectoryTable.Opened) -> None:
        from tui.screens.row import RowScreen

        if run := self.selected_run:
            row = RowScreen(self._database, run, self._trajectory, message.step)
            self.app.push_screen(row, lambda step: None if step is None else self._table.go_to_step(step))

    def action_export(self) -> None:
        """Write runs or their session to a file."""
        if run := self._selected_or_say():
            from tui.screens.export_runs import ExportRunsScreen, subjects

            self.app.push_screen(ExportRunsScreen(self._database, subjects(run, self._list.marks.runs)))

    def _charted(self) -> Charted:
        run = self.selected_run
        title = f"{run.session}/{run.number}" if run else ""
        return Charted(title, self._trajectory.last_step, self._curves.marks)

    @property
    def _strip(self) -> ChartStrip:
        return self.query_one("#strip", ChartStrip)
