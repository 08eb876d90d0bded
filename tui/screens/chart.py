"""One figure of the selected run on the whole screen: axes, zoom, and a line where something was changed."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from engine.comparison.course import FIGURES, Course
from engine.errors import UserError
from engine.store.reading import Reader
from tui.actions import Place, bindings
from tui.curves import Chart, Charted
from tui.text import safe_text
from tui.widgets.chart_strip import scaled
from tui.widgets.columns import term_title
from tui.widgets.plot import Plot, Series

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_NAMED_KEYS = ("next_chart", "toggle_log", "zoom_in", "pan_left", "pan_right", "show_all", "close")
"""Those that the last line has room for at 80 columns."""

_FIGURE_OF = {
    Chart.LOSS: "loss",
    Chart.SIMILARITY: "similarity",
    Chart.LR: "lr",
    Chart.GRAD_NORM: "grad_norm",
    Chart.Z_NORM: "z_norm",
}
"""Charts of one curve, and the figure that it is."""

_UPDATE_S = 1.0
_ZOOM = 1.5
_PAN = 0.2


class ChartScreen(Screen[None]):
    """Follows the run as long as it is open."""

    app: "ExplorerApp"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.CHART)

    def __init__(
        self,
        database: Path,
        run: int,
        charted: Callable[[], Charted],
        chart: Chart,
        *,
        is_log: bool | None,
    ) -> None:
        """Show a figure.

        Args:
            database: Where the values are read.
            run: Whose they are.
            charted: Gives what there is to draw, whenever it is asked.
            chart: The figure to begin with.
            is_log: Whether its scale is logarithmic; None: where the values call for it.
        """
        super().__init__()
        self._database = database
        self._charted = charted
        self._chart = chart
        self._is_log = is_log
        self._course = Course(run)
        self._reading = asyncio.Lock()
        self._read: tuple[int | None, int] | None = None
        """Up to where, and with how many marks, the values were last asked for."""
        self._series: list[Series] = []

    def compose(self) -> ComposeResult:
        """Lay out title, plot and keys."""
        yield Static(id="chart-title", markup=False)
        yield Plot(id="plot")
        yield from self.compose_more()
        yield Static(self.hints(), id="chart-keys", markup=False)

    def compose_more(self) -> ComposeResult:
        """Lay out what stands under the plot."""
        yield from ()

    def hints(self) -> str:
        """What the last line says."""
        return self.app.keymap.hints(Place.CHART, _NAMED_KEYS)

    def on_mount(self) -> None:
        """Draw, and look again for new rows every second."""
        self.call_after_refresh(self.look)
        self.set_interval(_UPDATE_S, self.look)

    def action_next_chart(self) -> None:
        """Draw the next figure."""
        self._chart, self._is_log = self._chart.after(self._course.measures), None
        self._plot.fit_values()
        self._draw_again()

    def action_toggle_log(self) -> None:
        """Change the scale of the values."""
        self._is_log = not self._is_on_log_scale
        self._draw_again()

    def action_zoom_in(self) -> None:
        """Show fewer steps."""
        self._plot.zoom_steps(1 / _ZOOM)

    def action_zoom_out(self) -> None:
        """Show more steps."""
        self._plot.zoom_steps(_ZOOM)

    def action_zoom_values_in(self) -> None:
        """Show less height."""
        self._plot.zoom_values(1 / _ZOOM)

    def action_zoom_values_out(self) -> None:
        """Show more height."""
        self._plot.zoom_values(_ZOOM)

    def action_pan_left(self) -> None:
        """Go to earlier steps."""
        self._plot.pan(steps=-_PAN)

    def action_pan_right(self) -> None:
        """Go to later steps."""
        self._plot.pan(steps=_PAN)

    def action_pan_up(self) -> None:
        """Go to higher values."""
        self._plot.pan(values=_PAN)

    def action_pan_down(self) -> None:
        """Go to lower values."""
        self._plot.pan(values=-_PAN)

    def action_show_all(self) -> None:
        """Show everything again."""
        self._plot.show_all()

    def action_close(self) -> None:
        """Go back to the main screen."""
        self.dismiss()

    def look(self) -> None:
        """Read and draw when there is something new."""
        charted = self._charted()
        state = charted.last_step, len(charted.marks)
        if state == self._read:
            return
        self._read = state
        if charted.until is not None and self._course.steps:  # all of it has been read
            self._draw_again()
        else:
            self.run_worker(self._update(), group="values")

    async def _update(self) -> None:
        async with self._reading:
            try:
                await asyncio.to_thread(self._read_values)
            except UserError as error:
                self._say(str(error))
            else:
                self._draw()

    def _read_values(self) -> None:
        with Reader(self._database) as reader:
            self._course.update(reader)

    def _draw_again(self) -> None:
        if not self._reading.locked():  # else it is drawn when that is done
            self._draw()

    def _draw(self) -> None:
        charted = self._charted()
        steps = self._course.steps
        rows = 0 if charted.last_step is None else bisect_right(steps, charted.last_step)
        numbers = steps[:rows]
        if self._chart.measure is None:
            self._series = [
                Series(name, numbers[: len(values)], values) for name, values in self._values(rows)
            ]
        else:
            measured, values = self._course.curve(self._chart.measure)
            until = bisect_left(measured, rows) if self._chart.measure in self._course.measures else 0
            at = [numbers[row] for row in measured[:until]]
            self._series = [Series(self._chart.title, at, values[:until])]
        is_log = self._is_on_log_scale
        scale = ", logarithmic" if is_log else ""
        count = f"{rows} row{'s' * (rows != 1)}"
        self._say(f"{charted.title}  {self._chart}{scale}, {count}")
        self._plot.draw(self._series, sorted(charted.marks), is_log=is_log, until=charted.until)

    def _values(self, rows: int) -> list[tuple[str, Sequence[float]]]:
        """The curves of the chart by name, over the first so many rows."""
        figures = self._course.figures
        if self._chart == Chart.TERMS:
            return [
                (term_title(name), values[:rows]) for name, values in figures.items() if name not in FIGURES
            ]
        values = figures[_FIGURE_OF[self._chart]][:rows]
        if self._chart == Chart.LR and values and not isfinite(values[-1]):
            values.pop()  # no update is made from the last row of a run: that is no gap
        return [(self._chart.title, values)]

    def _say(self, text: str) -> None:
        self.query_one("#chart-title", Static).update(safe_text(text))

    @property
    def _is_on_log_scale(self) -> bool:
        values = (
            (value, value) if value is not None and isfinite(value) else None
            for curve in self._series
            for value in curve.values
        )
        return scaled(list(values), self._is_log)[1]

    @property
    def _plot(self) -> Plot:
        return self.query_one(Plot)
