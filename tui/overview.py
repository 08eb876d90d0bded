"""What `list` and `show` print: runs in a table, one run with its trajectory."""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.export import json_line, short_number, shown_steps
from engine.measures import MEASURES
from engine.store.reading import Reader
from engine.store.records import RunRecord, StepRecord
from tui.numbers import measure_text
from tui.tables import TrajectoryLines, event_line, match_line
from tui.text import safe_text

_PIPED_WIDTH = 200
_LEAST_TEXT_WIDTH = 16
_GAP = 2
"""Cells between two columns."""


def print_runs(runs: Sequence[RunRecord]) -> None:
    """Print runs as a table that fits the terminal: texts are cut, or left out, before numbers are."""
    if not runs:
        print(
            "No runs here: `sonar-explore run` makes one, `list --archived` shows archived ones.",
            file=sys.stderr,
        )
        return
    is_terminal = sys.stdout.isatty()
    console = Console(highlight=False) if is_terminal else Console(width=_PIPED_WIDTH, color_system=None)
    columns = _columns(runs, console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for column in columns:
        table.add_column(column.header, justify=column.justify, no_wrap=True)
    for index, run in enumerate(runs):
        cells = (Text(column.cells[index]) for column in columns)
        table.add_row(*cells, style="green" if run.match else "")
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


def print_run_objects(runs: Iterable[RunRecord]) -> None:
    """Print one JSON object for each run."""
    for run in runs:
        print(json_line(run_object(run)))


def run_object(run: RunRecord) -> dict[str, object]:
    """A run as `list --format jsonl` names it. Times are Unix seconds."""
    return {
        "type": "run",
        "run": run.id,
        "session": run.session,
        "number": run.number,
        "name": run.name,
        "status": str(run.status),
        "origin": run.origin,
        "bundle": run.bundle,
        "device": run.device,
        "init": run.init,
        "target": run.target,
        "loss_name": run.loss_name,
        "steps": run.steps,
        "last_step": run.last_step,
        "loss": run.loss,
        "similarity": run.similarity,
        "lr": run.lr,
        "match": run.match,
        "first_match_step": run.first_match_step,
        "decoded_prediction": run.decoded_prediction,
        "error": run.error,
        "created": run.created,
        "started": run.started,
        "ended": run.ended,
    }


def print_run(reader: Reader, run_id: int) -> None:
    """Print what a run is, what happened to it, and its decoded rows."""
    run = reader.run(run_id)
    console = Console(highlight=False) if sys.stdout.isatty() else None
    for label, value in _facts(run):
        print(f"{label:<10} {safe_text(value)}")
    decoded = None if run.last_step is None else reader.decoded_before(run_id, run.last_step)
    if decoded is not None and decoded.measures:
        print(f"{'measures':<10} step {decoded.step}: {_measures(decoded)}")
    for event in reader.events(run_id):
        if event.kind != "created":
            print(f"{_clock(event.time):<20} {event_line(event)}")
    table = TrajectoryLines(console.width if console else None)
    print()
    print(table.header)
    for step in shown_steps(reader.all_steps(run_id)):
        print(table.row(step))


@dataclass(frozen=True)
class _Column:
    header: str
    cells: Sequence[str]
    justify: Literal["left", "right"] = "left"

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in (self.header, *self.cells)) + _GAP


def _columns(runs: Sequence[RunRecord], width: int) -> list[_Column]:
    numbers = [
        _Column("run", [str(run.id) for run in runs], "right"),
        _Column("status", [str(run.status) for run in runs]),
        _Column("loss is", [safe_text(run.loss_name) for run in runs]),
        _Column(
            "step",
            [f"{'-' if run.last_step is None else run.last_step}/{run.steps}" for run in runs],
            "right",
        ),
        _Column("loss", [short_number(run.loss) for run in runs], "right"),
        _Column("sim", [short_number(run.similarity) for run in runs], "right"),
        _Column(
            "match",
            ["" if run.first_match_step is None else str(run.first_match_step) for run in runs],
            "right",
        ),
    ]
    texts = {
        "session": [_home(run) for run in runs],
        "prediction": [run.decoded_prediction or "" for run in runs],
        "target": [run.target_text for run in runs],
    }
    room = width - sum(column.width for column in numbers)
    while len(texts) > 1 and room // len(texts) < _LEAST_TEXT_WIDTH:
        texts.popitem()
    share = max(room // len(texts) - _GAP, 1)
    return numbers + [
        _Column(header, [safe_text(cell, limit=share) for cell in cells]) for header, cells in texts.items()
    ]


def _home(run: RunRecord) -> str:
    """Where a run is at home: its session, its number there, its name."""
    return f"{run.session} #{run.number}{f' {run.name}' if run.name else ''}"


def _facts(run: RunRecord) -> Iterable[tuple[str, str]]:
    digest = "" if run.bundle_digest is None else f" ({run.bundle_digest[:12]})"
    lr = "" if run.lr is None else f", lr {run.lr:g}"
    last = "none" if run.last_step is None else str(run.last_step)
    yield "run", f"{run.id}, {_home(run)}, {run.origin}"
    yield "init", run.init
    yield "target", run.target_text
    yield "loss", f"{run.loss_name}{lr}, {run.steps} steps"
    if run.break_points:
        yield "breaks", ", ".join(run.break_points)
    compiled = ", compiled" if run.is_compiled else ""
    yield "models", f"{run.bundle}{digest} on {run.device}{compiled}, seed {run.seed}"
    yield "made", _clock(run.created)
    yield "status", f"{run.status}, last step {last}, {match_line(run)}"
    if run.error:
        yield "error", run.error


def _measures(step: StepRecord) -> str:
    return ", ".join(
        f"{measure.title} {measure_text(step.measures[name])}"
        for name, measure in MEASURES.items()
        if name in step.measures
    )


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
