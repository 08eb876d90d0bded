"""Where a followed run is shown: its rows on stdout, its progress on whichever stream is a terminal."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from engine.export import short_number
from engine.store.records import RunRecord, Status


class FollowedOutput:
    """Prints lines for good and keeps a progress line under them.

    On a terminal the rows scroll above the progress line. Into a pipe the rows are plain lines, flushed one
    by one, and the progress goes to stderr: drawn if that is a terminal, else a line when the status changes.
    """

    def __init__(self) -> None:
        """Look at the two streams; nothing is printed yet."""
        self._rows: Console | None = Console(highlight=False) if sys.stdout.isatty() else None
        self.width: int | None = self._rows.width if self._rows else None
        """Cells that a row may take; None: any number."""
        drawn = self._rows or (Console(stderr=True, highlight=False) if sys.stderr.isatty() else None)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        if drawn is not None:
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}", markup=False),
                console=drawn,
                transient=True,
                auto_refresh=False,  # a run that stands still sends nothing over a slow line
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._progress.add_task("", total=None, numbers="")
        self._shown = ("", 0, "")

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def line(self, text: str, style: str = "") -> None:
        """Print a line of the result on stdout. The text is harmless already (a table's or JSON)."""
        if self._rows is not None:
            self._rows.print(Text(text, style=style), soft_wrap=True)
        else:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print a line about the run, which is not part of the result, on stderr."""
        if self._progress is not None and sys.stderr.isatty():
            self._progress.console.print(Text(text, style="dim"), soft_wrap=True)
        else:
            print(text, file=sys.stderr)

    def show_progress(self, run: RunRecord, status: str) -> None:
        """Show how far a run is; nothing is printed when nothing has changed."""
        waiting = run.status in (Status.QUEUED, Status.LOADING)
        numbers = "" if run.loss is None else f"loss {short_number(run.loss)}"
        shown = (status, run.last_step or 0, numbers)
        if shown == self._shown:
            return
        if self._progress is not None:
            self._progress.update(
                self._task,
                description=f"run {run.id}: {status}",
                total=None if waiting else run.steps,
                completed=run.last_step or 0,
                numbers=numbers,
                refresh=True,
            )
        elif status != self._shown[0]:
            print(f"run {run.id}: {status}", file=sys.stderr)
        self._shown = shown
