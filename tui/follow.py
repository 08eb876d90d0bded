"""Follow a run from the shell: print its rows as they are recorded, until it has ended."""

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from engine.batched import BATCHED
from engine.export import (
    MARKDOWN_HEADER,
    is_decoded,
    json_line,
    markdown_row,
    markdown_title,
    short_number,
    step_line,
    summary_object,
)
from engine.store.location import database_path
from engine.store.reading import Reader
from engine.store.records import EventRecord, RunRecord, Status, StepRecord, WorkerRecord
from engine.workerfiles import worker_log
from tui.cli import PROGRAM
from tui.exit_codes import ExitCode
from tui.followed_output import FollowedOutput
from tui.forms import Form
from tui.tables import TrajectoryLines, event_line, match_line
from tui.text import safe_text

POLL_S = 0.1
_LOOK_AGAIN_S = 1.0
"""A worker that is gone changes nothing in the database: look at its process now and then."""
_ENSURE_WORKER_S = 2.0
_NO_WORKER_S = 60.0
"""A queued run whose worker has not come up, or has died each time, for this long is given up on."""

_NEWS = (
    *("lr", "weight", "paused", "resumed", "extended", "break-point", "remade", "crashed", "device"),
    *(BATCHED, "regrouped"),
)
"""Kinds of events that are worth a line; the others show as the run's status."""


@dataclass(frozen=True, slots=True)
class Update:
    """What is new about a followed run."""

    run: RunRecord
    steps: Sequence[StepRecord]
    events: Sequence[EventRecord]
    worker: WorkerRecord | None
    """The living worker of the run's device."""

    @property
    def is_last(self) -> bool:
        """Nothing more will come by itself: the run has ended, or its worker has paused it and left."""
        run = self.run
        is_abandoned = run.status is Status.PAUSED and run.worker_pid is None and self.worker is None
        return run.status.has_ended or is_abandoned


def updates(reader: Reader, run_id: int) -> Iterator[Update]:
    """Yield what is new about a run, at most ten times a second, until nothing more will come by itself.

    Rows that are made again, because the run went back and then another way, come again.
    """
    last_step, last_event, version, looked = -1, 0, None, -_LOOK_AGAIN_S
    while True:
        newest = reader.data_version()
        if newest == version and time.monotonic() - looked < _LOOK_AGAIN_S:
            time.sleep(POLL_S)
            continue
        version, looked = newest, time.monotonic()
        run = reader.run(run_id)  # read before its rows: once it has ended, all of them are there
        worker = next((w for w in reader.workers() if w.device == run.device and w.alive), None)
        events = reader.events(run_id, after=last_event)
        last_event = events[-1].id if events else last_event
        remade = [event.step for event in events if event.kind == "remade" and event.step is not None]
        last_step = min([last_step, *(step - 1 for step in remade)])
        while len(steps := reader.steps(run_id, after=last_step)) > 0:
            last_step = steps[-1].step
            yield Update(run, steps, events, worker)
            events = []
        update = Update(run, [], events, worker)
        yield update
        if update.is_last:
            return
        time.sleep(POLL_S)


def follow(database: Path, run_id: int, form: Form) -> int:
    """Print a run's rows as they come and return the exit code that says how it ended.

    A run that pauses is waited for, as long as its worker holds it: it goes on when somebody resumes it.
    Ctrl-C ends the following, never the run; so does a signal to leave.
    """
    for leaving in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(leaving, _leave)  # through the context managers, so that the terminal is left in order
    output = FollowedOutput()
    with Reader(database) as reader, output:
        try:
            run = reader.run(run_id)
            printer = _printer(form, reader, run, output)
            starter = _WorkerStarter(database)
            newest, is_paused = None, False
            for update in updates(reader, run_id):
                run, newest = update.run, update.steps[-1] if update.steps else newest
                printer.print_rows(update)
                if not run.status.has_ended:
                    output.show_progress(run, describe(run, update.worker))
                if run.status is Status.PAUSED and not (is_paused or update.is_last):
                    resume, stop = _call(database, f"resume {run_id}"), _call(database, f"stop {run_id}")
                    output.note(f"run {run_id}: {resume} goes on, {stop} ends it")
                is_paused = run.status is Status.PAUSED
                if not starter.has_hope(update):
                    return _give_up(output, database, run)
            printer.print_end(run, newest)
        except KeyboardInterrupt:
            output.note(f"run {run_id} goes on: {_call(database, f'show {run_id}')} prints it,")
            output.note(f"{_call(database)} opens it, {_call(database, f'stop {run_id}')} stops it")
            return ExitCode.INTERRUPTED
        output.note(outcome(run, database))
    return ExitCode.DONE if run.status in (Status.FINISHED, Status.STOPPED) else ExitCode.FAILED


def describe(run: RunRecord, worker: WorkerRecord | None) -> str:
    """What a run is doing, in a few words."""
    if run.status is Status.QUEUED:
        if worker is None:
            return "starting a worker"
        return f"queued; the worker is {safe_text(worker.state)}"
    if run.status is Status.LOADING:
        if worker is not None and worker.state.startswith("loading"):
            return safe_text(worker.state)
        return "loading the models"
    return str(run.status)


def outcome(run: RunRecord, database: Path) -> str:
    """How a run ended, in one line, with what can be done about it."""
    what = f"run {run.id}: {run.status}"
    if run.status is Status.FINISHED:
        numbers = f"loss {short_number(run.loss)}, similarity {short_number(run.similarity)}"
        return f"{what}, {numbers}, {match_line(run)}"
    where = "" if run.last_step is None else f" at step {run.last_step}"
    why = f": {safe_text(run.error)}" if run.error else ""
    how = "tries again" if run.status is Status.FAILED else "goes on from its last checkpoint"
    return f"{what}{where}{why}; {_call(database, f'resume {run.id}')} {how}"


def _call(database: Path, verb: str = "") -> str:
    """What to type for a verb, with the database where it is not the one that would be taken anyway."""
    option = "" if database == database_path() else f"--db {shlex.quote(str(database))}"
    return f"`{' '.join(filter(None, (PROGRAM, option, verb)))}`"


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


class _WorkerStarter:
    """Sees to it that a queued run has a worker."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._asked = -_ENSURE_WORKER_S
        self._alone_since: float | None = None

    def has_hope(self, update: Update) -> bool:
        """Start a worker for a queued run that has none; False when none has come up for too long."""
        if update.run.status is not Status.QUEUED or update.worker is not None:
            self._alone_since = None
            return True
        from engine.control import ensure_worker

        now = time.monotonic()
        if now - self._asked >= _ENSURE_WORKER_S:
            self._asked = now
            ensure_worker(self._database, update.run.device)
        self._alone_since = now if self._alone_since is None else self._alone_since
        return now - self._alone_since < _NO_WORKER_S


def _give_up(output: FollowedOutput, database: Path, run: RunRecord) -> int:
    log = worker_log(database, run.device)
    output.note(f"run {run.id}: is still queued, no worker for {run.device} stays up; its log is {log}")
    return ExitCode.FAILED


@dataclass
class _Printer:
    """Prints rows in one form."""

    output: FollowedOutput
    row: Callable[[StepRecord], str]
    head: Sequence[str] = ()
    """Lines before the first row."""
    summary: Callable[[RunRecord], str] | None = None
    """The line after the last row. A form that has one prints every row, the others decoded ones only."""

    def print_rows(self, update: Update) -> None:
        for event in update.events:
            if event.kind in _NEWS:
                self.output.note(f"run {update.run.id}: {event_line(event)}")
        for step in update.steps:
            if self.summary is not None or is_decoded(step):
                self._print(step)

    def print_end(self, run: RunRecord, newest: StepRecord | None) -> None:
        if self.summary is not None:
            self.output.line(self.summary(run))
        elif newest is not None and not is_decoded(newest):
            self._print(newest)

    def _print(self, step: StepRecord) -> None:
        for line in self.head:
            self.output.line(line, style="bold")
        self.head = ()
        self.output.line(self.row(step), style="green" if step.match else "")


def _printer(form: Form, reader: Reader, run: RunRecord, output: FollowedOutput) -> _Printer:
    if form is Form.JSONL:
        return _Printer(
            output,
            row=partial(step_line, reader),
            summary=lambda ended: json_line(summary_object(ended)),
        )
    if form is Form.MARKDOWN:
        return _Printer(output, markdown_row, head=(markdown_title(run), "", *MARKDOWN_HEADER))
    table = TrajectoryLines(output.width)
    return _Printer(output, table.row, head=(table.header,))
