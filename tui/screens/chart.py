"""One figure of the selected run on the whole screen: axes, zoom, and a line where something was changed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from engine.store.records import StepRecord
from tui.actions import Place, bindings
from tui.curves import Chart, Charted, values_of
from tui.text import safe_text
from tui.widgets.chart_strip import scaled
from tui.widgets.plot import Plot, Series

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_NAMED_KEYS = ("next_chart", "toggle_log", "zoom_in", "pan_left", "pan_right", "show_all", "close")
"""Those that the last line has room for at 80 columns."""

_UPDATE_S = 1.0
_ZOOM = 1.5
_PAN = 0.2


class ChartScreen(Screen[None]):
    """Follows the run as long as it is open."""

    app: "ExplorerApp"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.CHART)

    def __init__(self, charted: Callable[[], Charted], chart: Chart, *, is_log: bool | None) -> None:
        """Show a figure.

        Args:
            charted: Gives what there is to draw, whenever it is asked.
            chart: The figure to begin with.
            is_log: Whether its scale is logarithmic; None: where the values call for it.
        """
        super().__init__()
        self._charted = charted
        self._chart = chart
        self._is_log = is_log
        self._drawn: tuple[int, int, int] | None = None
        self._series: list[Series] = []

    def compose(self) -> ComposeResult:
        """Lay out title, plot and keys."""
        yield Static(id="chart-title", markup=False)
        yield Plot(id="plot")
        yield Static(self.app.keymap.hints(Place.CHART, _NAMED_KEYS), id="chart-keys", markup=False)

    def on_mount(self) -> None:
        """Draw, and look again for new rows every second."""
        self.call_after_refresh(self._update)
        self.set_interval(_UPDATE_S, self._update)

    def action_next_chart(self) -> None:
        """Draw the next figure."""
        self._chart, self._is_log, self._drawn = self._chart.following, None, None
        self._plot.fit_values()
        self._update()

    def action_toggle_log(self) -> None:
        """Change the scale of the values."""
        self._is_log, self._drawn = not self._is_on_log_scale, None
        self._update()

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

    def _update(self) -> None:
        """Draw when there is something new."""
        charted = self._charted()
        state = id(charted.rows), len(charted.rows), len(charted.marks)
        if state == self._drawn:
            return
        self._drawn = state
        steps = [row for row in charted.rows if isinstance(row, StepRecord)]
        numbers = [step.step for step in steps]
        self._series = [
            Series(name, numbers[: len(values)], values)
            for name, values in values_of(self._chart, steps).items()
        ]
        is_log = self._is_on_log_scale
        scale = ", logarithmic" if is_log else ""
        count = f"{len(steps)} row{'s' * (len(steps) != 1)}"
        title = f"{charted.title}  {self._chart}{scale}, {count}"
        self.query_one("#chart-title", Static).update(safe_text(title))
        self._plot.draw(self._series, sorted(charted.marks), is_log=is_log)

    @property
    def _is_on_log_scale(self) -> bool:
        values = (
            None if value is None else (value, value) for curve in self._series for value in curve.values
        )
        return scaled(list(values), self._is_log)[1]

    @property
    def _plot(self) -> Plot:
        return self.query_one(Plot)
