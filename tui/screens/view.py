"""Take down where the user is on the main screen, and go there again."""

from textual.screen import Screen

from tui.curves import chart_named
from tui.run_filter import SortBy
from tui.view_state import ViewState
from tui.widgets.chart_strip import ChartStrip
from tui.widgets.run_list import RunList
from tui.widgets.run_pane import RunPane
from tui.widgets.trajectory_table import TrajectoryTable


def take_view(screen: Screen[None], before: ViewState) -> ViewState:
    """Where the user is; `before` where the runs, or the selected run's rows, are not there yet."""
    if not screen.query(TrajectoryTable):
        return before  # it is not laid out yet
    pane, runs, table, strip = _parts(screen)
    selected = runs.selected
    if selected is None or (not table.has_rows and selected.record.id == before.run):
        return before
    return ViewState(
        run=selected.record.id,
        pane="table" if screen.focused is table else "runs",
        row=table.place,
        list_hidden=not pane.display,
        chart=strip.chart.name,
        log_scale=strip.is_log,
        sort=runs.sort.name,
        filter=runs.run_filter.text,
        closed=tuple(sorted(runs.closed)),
        marked=runs.marks.runs,
    )


async def restore_view(screen: Screen[None], view: ViewState) -> None:
    """Go to where the user was; the run and the row as soon as they are read."""
    pane, runs, table, strip = _parts(screen)
    pane.display = not view.list_hidden
    runs.rearrange(sort=SortBy.__members__.get(view.sort), closed=frozenset(view.closed))
    runs.marks.restore(view.marked)
    strip.choose(chart_named(view.chart), is_log=view.log_scale)
    if view.filter:
        await pane.set_filter(view.filter)
    if view.run is not None:
        runs.select_run(view.run)
        table.restore_place(view.run, view.row)
    (table if view.pane == "table" or view.list_hidden else runs).focus()


def _parts(screen: Screen[None]) -> tuple[RunPane, RunList, TrajectoryTable, ChartStrip]:
    return (
        screen.query_one(RunPane),
        screen.query_one(RunList),
        screen.query_one(TrajectoryTable),
        screen.query_one(ChartStrip),
    )
