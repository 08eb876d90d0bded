"""Two to eight runs side by side: curves, specs, predictions, cosines, and the plane of their z's."""

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from engine.comparison.alignment import AXIS_NAMES, Alignment
from engine.comparison.choice import LETTERS
from engine.comparison.comparison import Comparison, Curve
from engine.comparison.cosines import Cosines, cosines
from engine.comparison.differences import Field, fields
from engine.comparison.predictions import Prediction, next_decoded_step, previous_decoded_step
from engine.comparison.projection import Plane, project
from engine.errors import UserError
from engine.measures import MEASURES
from engine.store.reading import Reader
from engine.store.records import RunRecord
from tui.actions import Place, bindings
from tui.circle import following
from tui.compared_lines import Against, cosine_lines, field_lines, missing_paths, plane_text, prediction_lines
from tui.text import safe_text
from tui.widgets.chart_strip import scaled
from tui.widgets.plane import DrawnPath, PlaneView
from tui.widgets.plot import Plot, Series
from tui.widgets.run_legend import RunLegend
from tui.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_UPDATE_S = 1.0
_PLANE_INTERVAL_S = 5.0
"""Seconds after which the plane is made anew while runs go on."""


class Part(StrEnum):
    """What of the comparison is shown; the value is what stands in the line of parts."""

    CURVES = "curves"
    SPECS = "specs"
    PREDICTIONS = "predictions"
    VECTORS = "vectors"
    PLANE = "plane"


_HINTS = {
    Part.CURVES: ("next_figure", "next_alignment", "toggle_log", "show_all"),
    Part.SPECS: ("line_up", "line_down"),
    Part.PREDICTIONS: ("previous_step", "next_step", "first_step", "last_step", "next_difference"),
    Part.VECTORS: ("line_up", "line_down"),
    Part.PLANE: (),
}
"""What the last line names for each part, besides going to the next part and closing."""

_ENDS = ("next_part", "close")

_FIGURE_NAMES = {
    "grad_norm": "|grad|",
    "z_norm": "|z|",
    "similarity": "sim",
    **{name: measure.title for name, measure in MEASURES.items()},
}


@dataclass(frozen=True)
class Wanted:
    """What the user looks at."""

    part: Part = Part.CURVES
    figure: str = "loss"
    alignment: Alignment = Alignment.STEP
    step: int | None = None
    """Where the predictions are compared; None: at the newest decoded step, as it moves on."""

    against: Against = Against.FIRST


@dataclass(frozen=True)
class Seen:
    """What there is to show of it, read and computed."""

    wanted: Wanted
    runs: tuple[RunRecord, ...]
    figures: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    left_out: tuple[str, ...] = ()
    table: tuple[Field, ...] = ()
    step: int = 0
    predictions: tuple[Prediction, ...] = ()
    matrix: Cosines | None = None
    plane: Plane | None = None


class ComparisonSource:
    """Reads and computes what is wanted; on one thread at a time, and never on the screen's."""

    def __init__(self, database: Path, runs: tuple[int, ...]) -> None:
        self._database = database
        self._runs = runs
        self._comparison = Comparison(runs)
        self._matrix: Cosines | None = None
        self._plane: Plane | None = None
        self._plane_is_old = True
        self._plane_s = -math.inf

    def look(self, wanted: Wanted) -> Seen:
        """Read what is new, and give what is wanted.

        Raises:
            UserError: the database cannot be read, or a run is not there any more.
        """
        with Reader(self._database) as reader:
            if self._comparison.update(reader):
                self._matrix, self._plane_is_old = None, True
            comparison = self._comparison
            seen = Seen(wanted, comparison.runs, comparison.figures)
            if wanted.part is Part.CURVES:
                curves = comparison.curves(wanted.figure, wanted.alignment)
                left_out = comparison.left_out(wanted.alignment)
                return replace(seen, curves=tuple(curves), left_out=tuple(left_out))
            if wanted.part is Part.SPECS:
                return replace(seen, table=tuple(fields(comparison.runs)))
            if wanted.part is Part.PREDICTIONS:
                step = comparison.newest_decoded_step if wanted.step is None else wanted.step
                return replace(seen, step=step, predictions=tuple(comparison.predictions(reader, step)))
            if wanted.part is Part.VECTORS:
                self._matrix = self._matrix or cosines(reader, self._runs)
                return replace(seen, matrix=self._matrix)
            return replace(seen, plane=self._plane_of(reader))

    def step_beside(self, step: int | None, *, forward: bool) -> int | None:
        """The decoded step next to a step, of any run; None where there is none."""
        at = self._comparison.newest_decoded_step if step is None else step
        find = next_decoded_step if forward else previous_decoded_step
        return find(self._comparison.courses, at)

    def _plane_of(self, reader: Reader) -> Plane:
        now = time.monotonic()
        if self._plane is None or (self._plane_is_old and now - self._plane_s >= _PLANE_INTERVAL_S):
            self._plane = project(reader, self._runs)
            self._plane_is_old, self._plane_s = False, now
        return self._plane


class CompareScreen(Screen[None]):
    """Follows the runs as long as it is open."""

    app: "ExplorerApp"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.COMPARE)

    def __init__(self, database: Path, runs: tuple[int, ...]) -> None:
        """Compare runs.

        Args:
            database: Where they are.
            runs: Two to eight of them, in the order of their letters.
        """
        super().__init__()
        self._source = ComparisonSource(database, runs)
        self._wanted = Wanted()
        self._is_log: bool | None = None
        self._seen: Seen | None = None
        self._asked = asyncio.Event()
        self._moves: list[bool] = []
        """Whether to go to a later (True) or an earlier (False) decoded step, for each press of a key."""

    def compose(self) -> ComposeResult:
        """Lay out title, parts, legend, what is compared, and keys."""
        yield Static(id="compare-title", markup=False)
        yield Static(id="compare-parts", markup=False)
        yield RunLegend(id="legend-of-runs")
        yield Plot(id="plot")
        yield TextLines(id="compared")
        yield PlaneView(id="plane")
        yield Static(id="compare-notes", markup=False)
        yield Static(id="compare-keys", markup=False)

    def on_mount(self) -> None:
        """Start looking, now and every second."""
        self._lay_out()
        self._say("reading …")
        self.run_worker(self._follow())

    async def _follow(self) -> None:
        while True:
            self._asked.clear()
            await self._look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _UPDATE_S)

    async def _look(self) -> None:
        moves, self._moves = self._moves, []
        try:
            for forward in moves:
                step = self._wanted.step
                self._go_to(await asyncio.to_thread(self._source.step_beside, step, forward=forward), forward)
            seen = await asyncio.to_thread(self._source.look, self._wanted)
        except UserError as error:
            self._say(str(error))
            self._seen = None  # what comes after it is shown, the same as before too
            return
        if seen.wanted == self._wanted and seen != self._seen:
            self._seen = seen
            self._show(seen)

    # What the keys do

    def action_next_part(self) -> None:
        """Show the next part."""
        self._show_part(following(Part, self._wanted.part))

    def action_previous_part(self) -> None:
        """Show the part before."""
        parts = list(Part)
        self._show_part(parts[parts.index(self._wanted.part) - 1])

    def action_show_curves(self) -> None:
        """Show the curves."""
        self._show_part(Part.CURVES)

    def action_show_specs(self) -> None:
        """Show the specs."""
        self._show_part(Part.SPECS)

    def action_show_predictions(self) -> None:
        """Show the predictions."""
        self._show_part(Part.PREDICTIONS)

    def action_show_vectors(self) -> None:
        """Show the cosines."""
        self._show_part(Part.VECTORS)

    def action_show_plane(self) -> None:
        """Show the plane."""
        self._show_part(Part.PLANE)

    def action_next_alignment(self) -> None:
        """Lay the curves over one another by the next alignment."""
        self._plot.show_all()
        self._want(part=Part.CURVES, alignment=following(Alignment, self._wanted.alignment))

    def action_next_figure(self) -> None:
        """Draw the next figure."""
        if self._seen and self._seen.figures:
            figures = self._seen.figures
            now = self._wanted.figure
            self._is_log = None
            self._plot.fit_values()
            self._want(part=Part.CURVES, figure=following(figures, now) if now in figures else figures[0])

    def action_toggle_log(self) -> None:
        """Change the scale of the values."""
        if self._wanted.part is Part.CURVES and self._seen:
            self._is_log = not self._is_on_log_scale(self._seen)
            self._show(self._seen)

    def action_show_all(self) -> None:
        """Show the whole curves again."""
        self._plot.show_all()

    def action_previous_step(self) -> None:
        """Compare what was said at the decoded step before."""
        self._move_step(forward=False)

    def action_next_step(self) -> None:
        """Compare what was said at the next decoded step."""
        self._move_step(forward=True)

    def action_first_step(self) -> None:
        """Compare what was said at first."""
        self._want(part=Part.PREDICTIONS, step=0)

    def action_last_step(self) -> None:
        """Compare what was said last, and go on with it."""
        self._want(part=Part.PREDICTIONS, step=None)

    def action_next_difference(self) -> None:
        """Mark words against something else."""
        self._want(part=Part.PREDICTIONS, against=self._wanted.against.following)

    def action_line_up(self) -> None:
        """Scroll up a line."""
        self._lines.scroll_up(animate=False)

    def action_line_down(self) -> None:
        """Scroll down a line."""
        self._lines.scroll_down(animate=False)

    def action_page_up(self) -> None:
        """Scroll up a screenful."""
        self._lines.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Scroll down a screenful."""
        self._lines.scroll_page_down(animate=False)

    def action_first_line(self) -> None:
        """Scroll to the first line."""
        self._lines.scroll_home(animate=False)

    def action_last_line(self) -> None:
        """Scroll to the last line."""
        self._lines.scroll_end(animate=False)

    def action_close(self) -> None:
        """Go back to the main screen."""
        self.dismiss()

    def _show_part(self, part: Part) -> None:
        self._lines.scroll_home(animate=False)
        self._want(part=part)

    def _move_step(self, *, forward: bool) -> None:
        self._moves.append(forward)
        self._want(part=Part.PREDICTIONS)

    def _go_to(self, step: int | None, forward: bool) -> None:
        if step is not None:
            self._wanted = replace(self._wanted, step=step)
        else:
            self.notify("This is the last decoded step" if forward else "This is the first decoded step")

    def _want(self, **changes: object) -> None:
        part = self._wanted.part
        self._wanted = replace(self._wanted, **changes)  # type: ignore[arg-type]
        if self._wanted.part is not part:
            self._lay_out()
        self._asked.set()

    # What is shown

    def _lay_out(self) -> None:
        """Show the widget of the part, its place among the parts, and its keys."""
        part = self._wanted.part
        self._plot.display = part is Part.CURVES
        self._plane.display = part is Part.PLANE
        self._lines.display = part not in (Part.CURVES, Part.PLANE)
        names = (
            f"[{place} {name}]" if name is part else f" {place} {name} " for place, name in enumerate(Part, 1)
        )
        self.query_one("#compare-parts", Static).update("".join(names))
        self._note([])
        hints = self.app.keymap.hints(Place.COMPARE, (*_HINTS[part], *_ENDS))
        self.query_one("#compare-keys", Static).update(hints)
        if self._lines.display:
            self._lines.show(lambda width: [[("reading …"[:width], "quiet")]])

    def _show(self, seen: Seen) -> None:
        self.query_one(RunLegend).show(seen.runs)
        wanted = seen.wanted
        if wanted.part is Part.CURVES:
            self._show_curves(seen)
        elif wanted.part is Part.SPECS:
            self._say("specs")
            self._lines.show(partial(field_lines, seen.table, len(seen.runs)))
        elif wanted.part is Part.PREDICTIONS:
            newest = ", the newest" if wanted.step is None else ""
            self._say(f"predictions at step {seen.step}{newest}; marked: {wanted.against}")
            self._lines.show(partial(prediction_lines, seen.runs, seen.predictions, wanted.against))
        elif wanted.part is Part.VECTORS and seen.matrix:
            self._say("cosines")
            self._lines.show(partial(cosine_lines, seen.matrix))
        elif wanted.part is Part.PLANE and seen.plane:
            self._show_plane(seen.plane)

    def _show_plane(self, plane: Plane) -> None:
        self._say(f"plane of z, ○ start ● end: {plane_text(plane)}")
        self._note(missing_paths(plane))
        self._plane.draw(
            DrawnPath(LETTERS[place], place, path.x, path.y) for place, path in enumerate(plane.paths)
        )

    def _show_curves(self, seen: Seen) -> None:
        is_log = self._is_on_log_scale(seen)
        wanted = seen.wanted
        name = _FIGURE_NAMES.get(wanted.figure, wanted.figure)
        scale = ", logarithmic" if is_log else ""
        self._say(f"{name}{scale} by {AXIS_NAMES[wanted.alignment]}")
        nothing = [curve.index for curve in seen.curves if not _can_be_drawn(curve, is_log=is_log)]
        above = " above 0" if is_log else ""
        empty = [f"{LETTERS[index]} has no finite value of {name}{above}" for index in nothing]
        self._note([*seen.left_out, *empty])
        self._plot.draw(
            [
                Series(LETTERS[curve.index], curve.positions, curve.values, LETTERS[curve.index], curve.index)
                for curve in seen.curves
            ],
            [0] if wanted.alignment is Alignment.MATCH and seen.curves else [],
            is_log=is_log,
            is_whole=wanted.alignment is not Alignment.TIME,
        )

    def _is_on_log_scale(self, seen: Seen) -> bool:
        values = (value for curve in seen.curves for value in curve.values)
        return scaled([None if value is None else (value, value) for value in values], self._is_log)[1]

    def _say(self, text: str) -> None:
        title, said = self.query_one("#compare-title", Static), safe_text(f"compare: {text}")
        if said != str(title.content):
            title.update(said)

    def _note(self, notes: list[str]) -> None:
        """Say what is not shown, below what is."""
        bar, said = self.query_one("#compare-notes", Static), "; ".join(notes)
        if said != str(bar.content):
            bar.update(said)
        bar.display = bool(said)

    @property
    def _plot(self) -> Plot:
        return self.query_one(Plot)

    @property
    def _plane(self) -> PlaneView:
        return self.query_one(PlaneView)

    @property
    def _lines(self) -> TextLines:
        return self.query_one(TextLines)


def _can_be_drawn(curve: Curve, *, is_log: bool) -> bool:
    return any(value is not None and (value > 0 or not is_log) for value in curve.values)
