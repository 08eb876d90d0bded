"""The worker: claim queued runs, step them, obey commands, record everything.

    python -m engine.worker --db sessions.db --device cpu

One for each database and device, held to that by a lock file. It is started by viewers
(engine.control.ensure_worker), knows nothing of them, and reads and writes the database only. It keeps the
models loaded between runs and leaves when nothing has happened for its idle time.
"""

import argparse
import os
import signal
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import numpy as np
from filelock import FileLock

from engine.batched import BATCHED, batched_detail
from engine.environment import environment
from engine.errors import UserError
from engine.search import begin_search
from engine.spec import RunSpec
from engine.store.connection import is_damage, network_notice, unwritable
from engine.store.patient_connection import DatabaseGoneError
from engine.store.recording import ROWS_LOG_PAGES, Claim, Recorder
from engine.store.records import Status
from engine.store.run_changes import Event
from engine.store.schema import prepare
from engine.store.task_queue import TaskQueue
from engine.work.active_run import ActiveRun, spec_in_force
from engine.work.active_task import TaskDesk
from engine.work.command_desk import CommandDesk
from engine.work.failure import card_is_lost, in_one_line
from engine.work.lock import take_office
from engine.work.models import Models
from engine.work.outcome import Outcome, outcome_of
from engine.work.presence import Presence
from engine.work.task_runners import TaskContext
from engine.work.together import (
    MOST_TOGETHER,
    PATIENCE_S,
    Together,
    advance,
    let_go_of_decoding,
    ranges,
    sharing,
)
from engine.workerfiles import worker_lock

IDLE_MINUTES_VARIABLE = "SONAR_EXPLORE_IDLE_MINUTES"
DEFAULT_IDLE_MINUTES = 10.0

RUNS_TOGETHER_VARIABLE = "SONAR_EXPLORE_RUNS_TOGETHER"

_POLL_S = 0.02


def main(arguments: list[str] | None = None) -> int:
    """Serve until there is nothing to do for the idle time, or until asked to leave."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.worker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--idle-minutes", type=float, default=_idle_minutes())
    parser.add_argument(
        "--runs-together",
        type=int,
        choices=range(MOST_TOGETHER + 1),
        metavar="N",
        default=_runs_together(),
        help=f"step at most N runs as one batch, 1 to {MOST_TOGETHER} "
        "(default: 0, which is as many as the card has memory for, and 1 on the CPU)",
    )
    options = parser.parse_args(arguments)
    try:
        prepare(options.db)
        recorder = Recorder(options.db, options.device, report=report, log_pages=ROWS_LOG_PAGES)
    except UserError as error:
        report(str(error))
        return 2
    lock = FileLock(worker_lock(options.db, options.device))
    idle_timeout_s = options.idle_minutes * 60
    if not recorder.keeps_log:
        report(network_notice(options.db) or f"database: {options.db}: is kept with a rollback journal")
    try:
        if take_office(lock, recorder, idle_timeout_s, report=report):
            together = options.runs_together or None
            Worker(recorder, idle_timeout_s=idle_timeout_s, runs_together=together).serve()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        report(f"leaving: {unwritable(options.db, error)}")
        return 1
    finally:
        lock.release()
        recorder.close()
    return 0


def report(line: str) -> None:
    """Put a line with the time into the log."""
    print(time.strftime("%Y-%m-%d %H:%M:%S"), f"[{os.getpid()}]", line, file=sys.stderr, flush=True)


class Worker:
    """The loop of one worker process."""

    def __init__(
        self, recorder: Recorder, *, idle_timeout_s: float, runs_together: int | None = None
    ) -> None:
        """Say how the worker works.

        Args:
            recorder: of its database and device.
            idle_timeout_s: leave after so many seconds in which no run has stepped.
            runs_together: step at most so many runs as one batch; None: as many as the device is good for.
        """
        self._recorder = recorder
        self._idle_timeout_s = idle_timeout_s
        self._runs: dict[int, ActiveRun] = {}
        self._together = Together(self._runs, asked=runs_together, report=report)
        self._joining: deque[int] = deque()
        """Queued runs that are to be claimed next, to be stepped with what goes on."""
        self._joining_seen: object = None
        """Of what the queue was last looked through for them: the database, and the runs that went on."""
        self._waiting: set[int] = set()
        """Runs that have been loaded and wait for those that are to be stepped with them."""
        self._commands = CommandDesk(recorder, self._runs, leave=self._leave)
        self._presence = Presence(recorder, idle_timeout_s=idle_timeout_s, report=report)
        self._models = Models(recorder, self._presence, report=report)
        self._tasks = TaskDesk(
            TaskQueue(recorder),
            TaskContext(recorder.path, recorder.device, self._models.of_spec),
            report=report,
            explain=self._explain,
        )
        self._is_leaving = False
        self._last_work = time.monotonic()

    def serve(self) -> None:
        """Obey, claim, step; wait when there is nothing to do; leave when that has lasted too long."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, self._on_signal)
        self._presence.describe("starting")
        with self._presence.beating():
            try:
                self._fail_what_was_lost()
                self._serve()
            except DatabaseGoneError:
                self._rescue()

    def _fail_what_was_lost(self) -> None:
        """Say what ended with an earlier worker that was killed."""
        for crashed in self._recorder.mark_crashed():
            report(f"run {crashed}: its worker is gone; marked as crashed")
        for task in TaskQueue(self._recorder).fail_lost():
            report(f"task {task}: its worker is gone; it has failed")

    def _serve(self) -> None:
        while not self._is_leaving:
            seen = self._recorder.data_version()  # first: what comes in from now on ends the waiting
            if not self._recorder.is_in_place():
                raise DatabaseGoneError
            if self._commands.obey():
                self._last_work = time.monotonic()
                self._describe_activity()
            if self._work():
                self._last_work = time.monotonic()
            elif time.monotonic() - self._last_work < self._idle_timeout_s:
                self._wait(seen)
            elif self._sign_off("the worker left after its idle time", even_if_there_is_work=False):
                return
        self._sign_off("the worker was asked to leave", even_if_there_is_work=True)

    def _rescue(self) -> None:
        """The database is no longer behind its name: keep what only this process still has, and leave."""
        report(f"database: {self._recorder.path}: has been deleted or replaced")
        try:
            self._sign_off("the database was deleted or replaced", even_if_there_is_work=True)
            copy = self._recorder.rescue()
        except (OSError, sqlite3.Error, DatabaseGoneError) as error:
            report(f"leaving: what was recorded cannot be copied: {str(error) or 'it cannot be written'}")
        else:
            report(f"leaving: everything that was recorded is in {copy}")

    def _work(self) -> bool:
        """Load a run, make a step of those that are going on, and do a piece of a task; False: nothing."""
        claim = self._next_claim()
        if claim is not None:
            self._load(claim)
        else:
            self._settle()
        stepped = [runs for runs in sharing(self._runs.values()) if self._goes_on(runs)]
        for runs in stepped:
            self._advance(runs)
        activity = self._tasks.activity
        has_task = self._tasks.work()
        if self._tasks.activity != activity:
            self._describe_activity()
        return bool(stepped) or claim is not None or has_task

    def _goes_on(self, runs: Sequence[ActiveRun]) -> bool:
        return any(run.is_running and run.id not in self._waiting for run in runs)

    def _next_claim(self) -> Claim | None:
        """The next queued run: any where nothing goes on, else one to be stepped with what does."""
        running = [run.id for run in self._runs.values() if run.is_running]
        if not running:
            return self._recorder.claim(os.getpid())
        seen = self._recorder.data_version(), running
        if not self._joining and self._joining_seen != seen:
            self._joining_seen = seen
            is_beginning = self._waiting.issuperset(running)
            self._joining.extend(self._together.joining(self._recorder.queued, is_beginning=is_beginning))
        while self._joining:
            if claim := self._recorder.claim(os.getpid(), self._joining.popleft()):
                return claim
        return None

    def _settle(self) -> None:
        """Step together what fits, once there is nobody left to wait for."""
        self._waiting.clear()
        for runs in self._together.settle():
            places = len(runs[0].optimization.specs)
            ids = ranges(run.id for run in runs)
            detail = batched_detail(len(runs), ids)
            told = [run for run in runs if run.places_told != places]
            self._recorder.add_events([(run.id, run.next_step, Event(BATCHED, detail)) for run in told])
            for run in told:
                run.places_told = places
            report(f"run {ids}: stepped in {places} place{'s' if places > 1 else ''}")

    # Runs

    def _load(self, claim: Claim) -> None:
        try:
            spec = spec_in_force(claim.in_force)
            bundle = self._models.of_claim(claim, spec)
            initial = None if claim.initial is None else claim.initial[np.newaxis]
            optimization = begin_search([spec], bundle, initial=initial, patience_s=PATIENCE_S)
            if claim.checkpoint is not None:
                optimization.restore(0, claim.checkpoint)
            optimization.take_spec(0, spec)
            run = ActiveRun.of(claim, bundle, optimization, self._recorder)
            runs_on = environment(str(bundle.device), is_compiled=spec.compile)
        except Exception as error:
            self._end_failed(claim.run, self._recorder.next_step(claim.run), self._explain(error))
            return
        vectors = {"init": optimization.raw_initial_z[0], "target": optimization.target_vector[0]}
        self._recorder.start(
            run.id,
            digest=bundle.digest,
            step=run.next_step,
            vectors=vectors,
            environment=runs_on,
        )
        self._runs[run.id] = run
        self._waiting.add(run.id)
        self._describe_activity()
        report(f"run {run.id}: started at step {run.next_step}")

    def _advance(self, runs: Sequence[ActiveRun]) -> None:
        """Make a step of runs that share an optimization, and record their rows in one transaction."""
        try:
            made = advance(runs)
        except Exception as error:
            self._break_up(runs, error)
            return
        if not made:  # they are being decoded
            return
        outcomes = [outcome_of(each, self._in_force) for each in made]
        self._recorder.record_steps([outcome.recorded for outcome in outcomes])
        for outcome in outcomes:
            self._conclude(outcome)

    def _in_force(self, run: int) -> RunSpec:
        return spec_in_force(self._recorder.in_force(run))

    def _conclude(self, outcome: Outcome) -> None:
        """Pause or end a run whose row was recorded, where that follows from it."""
        run, step = outcome.run, outcome.step
        run.remember(outcome.recorded.made.row)
        if outcome.pauses:
            run.pause()
            run.before, run.decoded_before = self._recorder.rows_before(run.id, run.next_step)
            self._describe_activity()
            why = "; ".join(event.detail for event in outcome.recorded.events)
            report(f"run {run.id}: paused after row {step.step}: {why}")
        elif step.problem is not None:
            self._end(run, step.step, Status.FAILED, Event("failed", step.problem), step.problem)
        elif outcome.is_last:
            detail = "" if step.match is None else "match" if step.match else "no match"
            self._end(run, step.step, Status.FINISHED, Event("finished", detail))

    def _break_up(self, runs: Sequence[ActiveRun], error: Exception) -> None:
        """A step has failed: that of one run, which fails, or of several, which go on by halves.

        So what was too much for the memory is no more, and one that is to blame fails alone in the end. They
        go on from what is stored of them, as after a crash.
        """
        reason = self._explain(error)
        let_go_of_decoding(runs[0].bundle)  # it may be what there was no memory left for
        stepped = [run for run in runs if run.is_running]
        if len(stepped) == 1 or self._is_leaving:
            for run in stepped:
                self._end_failed(run.id, run.next_step, reason)
            return
        half = len(stepped) // 2
        many = f"{half} runs" if half > 1 else "one run"
        detail = f"a step of {len(stepped)} runs failed: at most {many} together now: {reason}"
        event = Event("regrouped", detail)
        for run in runs:
            del self._runs[run.id]
            if run.is_running:
                self._together.cap(run.id, half)
                self._recorder.put_back(run.id, run.next_step, Status.QUEUED, event)
            else:  # its checkpoint is that of its pause
                self._recorder.put_back(run.id, run.next_step, Status.PAUSED, event)
        report(f"run {ranges(run.id for run in runs)}: {detail}")
        self._describe_activity()

    def _end_failed(self, run: int, step: int, reason: str) -> None:
        report(f"run {run}: failed: {reason}")
        self._recorder.end(run, step, Status.FAILED, Event("failed", reason), reason)
        self._runs.pop(run, None)
        self._describe_activity()

    def _explain(self, error: Exception) -> str:
        """Put an error into one line, and leave where nothing can be computed any more."""
        reason = in_one_line(error)
        if card_is_lost(reason):  # the next worker can use it
            self._leave()
        return reason

    def _end(self, run: ActiveRun, step: int, status: Status, event: Event, error: str | None = None) -> None:
        run.leave()
        self._recorder.end(run.id, step, status, event, error)
        self._runs.pop(run.id, None)
        self._describe_activity()
        report(f"run {run.id}: {status} at step {step}")

    # The process

    def _wait(self, seen: int) -> None:
        """Wait until somebody else has changed the database since `seen`, or the idle time is over."""
        idle_ends = self._last_work + self._idle_timeout_s
        while (
            not self._is_leaving
            and time.monotonic() < idle_ends
            and self._recorder.data_version() == seen
            and self._recorder.is_in_place()
        ):
            time.sleep(_POLL_S)

    def _sign_off(self, reason: str, *, even_if_there_is_work: bool) -> bool:
        """Let go of all runs, which stay paused, and leave; False when there is work after all."""
        for run in self._runs.values():
            self._recorder.park(run.id, run.next_step, run.checkpoint(), Event("paused", reason))
        self._runs.clear()
        self._tasks.give_up(reason)
        if not self._recorder.leave(Event("paused", reason) if even_if_there_is_work else None):
            return False
        report(f"leaving: {reason}")
        return True

    def _describe_activity(self) -> None:
        running = [run.id for run in self._runs.values() if run.is_running]
        activities = [f"running {ranges(running)}"] if running else []
        if self._tasks.activity is not None:
            activities.append(self._tasks.activity)
        self._presence.describe(", ".join(activities) or "idle")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        self._is_leaving = True


def _idle_minutes() -> float:
    try:
        return float(os.environ.get(IDLE_MINUTES_VARIABLE, DEFAULT_IDLE_MINUTES))
    except ValueError:
        return DEFAULT_IDLE_MINUTES


def _runs_together() -> int:
    """What is asked for, where that makes sense."""
    asked = os.environ.get(RUNS_TOGETHER_VARIABLE, "")
    return int(asked) if asked.isdecimal() and int(asked) <= MOST_TOGETHER else 0


if __name__ == "__main__":
    sys.exit(main())
