"""Watch the database on a thread and hand what is new to the screen as frozen snapshots.

The thread has a connection of its own. It looks at `PRAGMA data_version` as often as it is told to, reads
what changed in bounded chunks, and posts a message only when something that the screen shows differs, so an
idle or paused screen is never painted.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import UserError
from engine.store.records import CommandRecord, EventRecord, RunRecord, Status
from tui.database_file import DatabaseFile
from tui.news import (
    DatabaseMissing,
    DatabaseUnreadable,
    RowsRead,
    RunsRead,
    RunView,
    TrajectoryRead,
    WorkerView,
    WorkerWanted,
)
from tui.pending import DECIDES_WHETHER_A_RUN_GOES_ON
from tui.silence import Silence
from tui.sparkline import Curve, packed
from tui.trajectory import AFTER_THEIR_STEP

if TYPE_CHECKING:
    from engine.store.reading import Reader
    from engine.store.run_watch import RunWatch

POLL_INTERVAL_S = 0.2
CHUNK_STEPS = 2000
NEWEST_STEPS = 500
"""A trajectory is opened with so many rows from its end; the older ones follow in chunks."""

CURVE_POINTS = 40

_LIVENESS_INTERVAL_S = 1.0
"""A worker that was killed changes nothing in the database, so held runs are looked at again this often."""

_REOPEN_INTERVAL_S = 1.0
_WORKER_INTERVAL_S = 4.0
_CURVES_BUDGET_S = 0.05
"""Most time spent on the sparklines of the list in one poll; the rest follows in the next ones."""

_FIRST_CURVES_BUDGET_S = 0.01
"""The same in the first one, when the user waits for the list."""

_LONG_RUN_STEPS = 5000
_LONG_RUN_CURVE_INTERVAL_S = 2.0

_NO_CURVE: tuple[int | None, float, Curve] = (None, float("-inf"), packed(()))
"""Up to which step a curve was read, when, and its values."""

_CREATION_GRACE_S = 2.0
"""A database that has just appeared may still be getting its tables."""


class DatabaseWatcher:
    """The thread, and which run it is asked to follow."""

    def __init__(
        self,
        database: Path,
        post: Callable[[Message], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._post = post
        self._clock = clock
        self._thread = threading.Thread(target=self._watch, name="database-watcher", daemon=True)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._selected: int | None = None
        self._interval_s = POLL_INTERVAL_S
        self._is_held = False

        self._reader: Reader | None = None
        self._file = DatabaseFile(database)
        self._silence = Silence()
        self._version: int | None = None
        self._reported: object = None
        self._missing_until_s = float("-inf")
        self._look_again_s = 0.0
        self._ask_for_worker_s = 0.0
        self._curves: dict[int, tuple[int | None, float, Curve]] = {}
        self._curves_are_behind = False
        self._views: dict[int, RunView] = {}
        self._run_watch: RunWatch | None = None
        self._records: dict[int, tuple[RunRecord, RunRecord]] = {}
        self._with_archived = False
        self._read_archived = False
        self._may_die = True
        """There is a worker whose end would change what is shown, or a run that waits for one."""

        self._wanted: SimpleQueue[tuple[int, range]] = SimpleQueue()
        """Rows to be read besides those that are new: the run and its steps."""

        self._followed: int | None = None
        self._is_first = True
        self._oldest_step: int | None = None
        """The oldest step that was read, while there are older ones to be read."""
        self._last_step = -1
        self._had_ended = False
        """The last row that was read is one from which no update was made."""
        self._last_event = 0
        self._commands: tuple[CommandRecord, ...] = ()

    def start(self) -> None:
        """Start watching; what has been started already goes on."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait until the connection is closed; at most two seconds."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def select(self, run: int | None) -> None:
        """Follow the trajectory of this run from now on; the first message about it starts it anew."""
        if run != self._selected:
            self._selected = run
            self._wake.set()

    def read_rows(self, run: int, steps: range) -> None:
        """Read rows again that the screen does not hold any more."""
        self._wanted.put((run, steps))
        self._wake.set()

    def show_archived(self, with_archived: bool) -> None:
        """Show the runs of archived sessions too, or no longer."""
        self._with_archived = with_archived
        self._wake.set()

    def pace(self, interval_s: float, *, is_held: bool) -> None:
        """Look every so many seconds from now on; while held, not at all."""
        self._interval_s, self._is_held = interval_s, is_held

    def _watch(self) -> None:
        is_asked = False
        while not self._stopping.is_set():
            pause_s = self._interval_s
            try:
                if not self._is_held:
                    self._poll(is_asked=is_asked)
            except UserError as error:
                pause_s = self._fail(str(error))
            except Exception as error:  # nobody above a thread could show it
                pause_s = self._fail(f"database: {self._database}: {type(error).__name__}: {error}")
            is_asked = self._wake.wait(pause_s)
            self._wake.clear()
        self._close()

    def _fail(self, reason: str) -> float:
        self._close()
        if self._clock() >= self._missing_until_s + _CREATION_GRACE_S:
            self._report(reason, DatabaseUnreadable(reason))
            return _REOPEN_INTERVAL_S
        return self._interval_s

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _report(self, state: object, message: Message) -> None:
        """Post a message unless it says what was said last."""
        if state != self._reported:
            self._reported = state
            self._post(message)

    def _poll(self, *, is_asked: bool) -> None:
        """Look once; when the user waits for something, the sparklines wait for the next time."""
        now = self._clock()
        if not self._file.is_in_place():
            self._close()
        if self._reader is None and not self._open(now):
            return
        assert self._reader is not None
        self._read_wanted(self._reader)
        version = self._reader.data_version()
        is_new = version != self._version or self._with_archived is not self._read_archived
        are_curves_due = self._curves_are_behind and not is_asked
        if is_new or are_curves_due or (self._may_die and now >= self._look_again_s):
            self._look_again_s = now + _LIVENESS_INTERVAL_S
            self._read_runs(self._reader, now)
        if is_new or self._selected != self._followed:
            self._read_trajectory(self._reader)
        self._version = version

    def _open(self, now: float) -> bool:
        if not self._file.find():
            self._missing_until_s = now
            self._report("missing", DatabaseMissing())
            return False
        from engine.store.reading import Reader  # its imports must not hold up the first paint
        from engine.store.run_watch import RunWatch

        self._reader = Reader(self._database)
        self._run_watch = RunWatch(self._reader)
        self._version = None
        self._curves.clear()
        self._followed = None
        return True

    def _read_runs(self, reader: "Reader", now: float) -> None:
        self._read_archived = self._with_archived
        assert self._run_watch is not None
        runs_read = self._run_watch.runs(with_archived=self._read_archived)
        records = [self._shown(record) for record in reversed(runs_read)]
        stored_workers = reader.workers()
        workers = tuple(map(WorkerView.of, stored_workers))
        self._read_curves(reader, records, now)
        runs = tuple(self._view(record, self._curves[record.id][2]) for record in records)
        self._views = {view.record.id: view for view in runs}
        notices = (self._silence.notice(stored_workers, now), self._file.notice, reader.notice)
        notice = "; ".join(filter(None, notices)) or None
        self._report((runs, workers, notice), RunsRead(runs, workers, notice))
        served = {worker.device for worker in workers if worker.alive}
        self._may_die = bool(served) or any(not record.status.has_ended for record in records)
        waiting = {record.device for record in records if record.status is Status.QUEUED} - served
        if waiting and now >= self._ask_for_worker_s:
            self._ask_for_worker_s = now + _WORKER_INTERVAL_S
            for device in sorted(waiting):
                self._post(WorkerWanted(device))

    def _shown(self, record: RunRecord) -> RunRecord:
        """The record without its heartbeat, which changes all the time: equal means nothing to paint."""
        if record.status.has_ended:
            return record
        known = self._records.get(record.id)
        if known is None or known[0] is not record:  # the reader gives the same object where nothing changed
            known = self._records[record.id] = (record, replace(record, heartbeat=None))
        return known[1]

    def _view(self, record: RunRecord, curve: Curve) -> RunView:
        """The same object as before where nothing has changed, so that the screen need not compare it."""
        before = self._views.get(record.id)
        if (
            before is not None
            and before.curve is curve
            and (before.record is record or before.record == record)
        ):
            return before
        return RunView(record, curve)

    def _read_curves(self, reader: "Reader", records: Sequence[RunRecord], now: float) -> None:
        """Bring the sparklines up to date, the newest runs' first, as far as the time goes."""
        deadline = time.perf_counter() + (_CURVES_BUDGET_S if self._curves else _FIRST_CURVES_BUDGET_S)
        self._curves_are_behind = False
        for record in records:
            step, read_s, curve = self._curves.setdefault(record.id, _NO_CURVE)
            is_due = step != record.last_step and (
                (record.last_step or 0) < _LONG_RUN_STEPS
                or record.status.has_ended
                or now - read_s >= _LONG_RUN_CURVE_INTERVAL_S
            )
            if is_due and time.perf_counter() < deadline:
                now_curve = packed(reader.loss_curve(record.id, CURVE_POINTS))
                is_same = now_curve.tobytes() == curve.tobytes()
                self._curves[record.id] = record.last_step, now, curve if is_same else now_curve
            elif is_due:
                self._curves_are_behind = True

    def _read_trajectory(self, reader: "Reader") -> None:
        run = self._selected
        if run != self._followed:
            self._followed = run
            self._start_anew()
        if run is None:
            return
        while not self._stopping.is_set() and self._selected == run:
            self._read_wanted(reader)
            events = reader.events(run, after=self._last_event)
            if any(self._is_in_the_past(event) for event in events):
                # The run went back to a checkpoint: the rows beyond it are made again.
                self._start_anew()
                continue
            if self._is_first:
                steps = reader.last_steps(run, limit=NEWEST_STEPS)
                is_at_end = True
                if len(steps) == NEWEST_STEPS:
                    self._oldest_step = steps[0].step
            else:
                steps = reader.steps(run, after=self._last_step, limit=CHUNK_STEPS)
                is_at_end = len(steps) < CHUNK_STEPS
                if steps and self._had_ended:
                    # There is an update from the row that was the last: it says so by now.
                    self._start_anew()
                    continue
            commands = _of_interest(reader.commands(run))
            is_complete = is_at_end and self._oldest_step is None
            if steps or events or self._is_first or commands != self._commands:
                self._post(
                    TrajectoryRead(
                        run,
                        steps,
                        events,
                        commands,
                        is_first=self._is_first,
                        is_complete=is_complete,
                        at_s=self._clock(),
                    )
                )
            self._is_first = False
            self._commands = commands
            if steps:
                self._last_step, self._had_ended = steps[-1].step, steps[-1].lr is None
            self._last_event = events[-1].id if events else self._last_event
            if is_complete:
                return
            if self._oldest_step is not None:
                self._read_older(reader, run, self._oldest_step, is_at_end=is_at_end)

    def _read_older(self, reader: "Reader", run: int, oldest: int, *, is_at_end: bool) -> None:
        """Read the chunk before the oldest step that was read."""
        steps = reader.last_steps(run, before=oldest, limit=CHUNK_STEPS)
        self._oldest_step = steps[0].step if len(steps) == CHUNK_STEPS else None
        self._post(
            TrajectoryRead(
                run,
                steps,
                (),
                self._commands,
                is_first=False,
                is_complete=is_at_end and self._oldest_step is None,
                is_before=True,
                at_s=self._clock(),
            )
        )

    def _read_wanted(self, reader: "Reader") -> None:
        """Read the rows that the screen has asked for."""
        while not self._wanted.empty():
            run, wanted = self._wanted.get()
            if run == self._selected:
                steps = reader.steps(run, after=wanted.start - 1, limit=len(wanted))
                self._post(RowsRead(run, steps))

    def _start_anew(self) -> None:
        self._is_first = True
        self._oldest_step = None
        self._last_step = -1
        self._had_ended = False
        self._last_event = 0
        self._commands = ()

    def _is_in_the_past(self, event: EventRecord) -> bool:
        """Whether it affects a row that has been read; an event is stored before the rows it affects."""
        if event.step is None or event.kind in AFTER_THEIR_STEP:
            return False
        return not self._is_first and event.step <= self._last_step


def _of_interest(commands: Sequence[CommandRecord]) -> tuple[CommandRecord, ...]:
    """The pending ones, the newest of all, and the one that says whether and how far the run goes on."""
    decisive = [
        command.id
        for command in commands
        if command.status == "applied" and command.kind in DECIDES_WHETHER_A_RUN_GOES_ON
    ]
    kept = {*decisive[-1:], *(command.id for command in commands[-1:])}
    return tuple(command for command in commands if command.status == "pending" or command.id in kept)
