"""Trajectories in their common plane: a path for each run, from ○ where it starts to ● where it ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual_hires_canvas import HiResMode
from textual_plot import PlotWidget

from tui.widgets.plot import CURVE_STYLES, DataPlot, NumberAxis

START, END = "○", "●"

_MARGIN = 0.06
"""Part of the width and the height that stays free around the paths, so that letters have room."""

_LEAST = 1e-9


@dataclass(frozen=True)
class DrawnPath:
    """One path: its places in order."""

    sign: str
    """The letter beside its end, and on its middle."""

    style: int
    """Which of CURVE_STYLES it is drawn in."""

    x: Sequence[float]
    y: Sequence[float]


class PlaneView(DataPlot, can_focus=False, inherit_bindings=False):
    """Paths over one another; each is told by its letter."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(CURVE_STYLES)

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, allow_pan_and_zoom=False)
        self.set_x_formatter(NumberAxis())
        self.set_y_formatter(NumberAxis())
        self._paths: tuple[DrawnPath, ...] = ()
        self.set_reactive(PlotWidget.margin_top, 1)
        self.set_reactive(PlotWidget.margin_bottom, 2)

    def draw(self, paths: Iterable[DrawnPath]) -> None:
        """Draw other paths, or more of them."""
        self._paths = tuple(path for path in paths if path.x)
        self.has_data = self.has_data or bool(self._paths)
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if not self.is_mounted or not self.size:
            return
        self.clear()
        self.show_legend(is_visible=False)
        if not self._paths:
            return
        left, right = _span(path.x for path in self._paths)
        low, high = _span(path.y for path in self._paths)
        self.set_xlimits(left, right)
        self.set_ylimits(low, high)
        cell = (right - left) / max(self.size.width - self.margin_left - 2, 1)
        for path in self._paths:
            if len(path.x) > 1:
                self.plot(path.x, path.y, line_style=self._style(path), hires_mode=HiResMode.BRAILLE)
        for path in self._paths:
            middle = len(path.x) // 2
            self._mark(path, path.sign, path.x[middle], path.y[middle])
        for path in self._paths:
            self._mark(path, path.sign, path.x[-1] + cell, path.y[-1])
            self._mark(path, START, path.x[0], path.y[0])
        for path in self._paths:
            self._mark(path, END, path.x[-1], path.y[-1])

    def _mark(self, path: DrawnPath, sign: str, x: float, y: float) -> None:
        self.scatter([x], [y], marker=sign, marker_style=self._style(path))

    def _style(self, path: DrawnPath) -> str:
        return str(self.get_component_rich_style(CURVE_STYLES[path.style], partial=True))


def _span(parts: Iterable[Sequence[float]]) -> tuple[float, float]:
    values = [value for part in parts for value in part]
    low, high = min(values), max(values)
    spare = max((high - low) * _MARGIN, _LEAST)
    return low - spare, high + spare
