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
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from engine.batched import BATCHED, batched_detail
from engine.environment import environment
from engine.errors import CardTooSmallError, UserError
from engine.search import begin_search
from engine.spec import RunSpec
from engine.store.connection import is_damage, network_notice, unwritable
from engine.store.filesystem import takes_locks
from engine.store.recording import Claim, DatabaseGoneError, Event, Recorder
from engine.store.records import Status
from engine.store.schema import prepare
from engine.store.task_queue import TaskQueue
from engine.work.active_run import ActiveRun, spec_in_force
from engine.work.active_task import TaskDesk
from engine.work.card import Card
from engine.work.command_desk import CommandDesk
from engine.work.outcome import Outcome, outcome_of
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
from engine.workerfiles import worker_lock, worker_log

if TYPE_CHECKING:  # torch and the models are imported when the first run is claimed
    from engine.models.loading import LoadedBundle

IDLE_MINUTES_VARIABLE = "SONAR_EXPLORE_IDLE_MINUTES"
DEFAULT_IDLE_MINUTES = 10.0

RUNS_TOGETHER_VARIABLE = "SONAR_EXPLORE_RUNS_TOGETHER"

_SENTENCES_OF_FULL_CARD = 3
"""What was tried, how much was asked for, and how much is free."""

_POLL_S = 0.02
_HEARTBEAT_S = 1.0
_LOCK_PATIENCE_S = 30.0
_LOCK_POLL_S = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Serve until there is nothing to do for the idle time, or until asked to leave."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker", description=__doc__)
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
        recorder = Recorder(options.db, options.device, report=report)
    except UserError as error:
        report(str(error))
        return 2
    lock = FileLock(worker_lock(options.db, options.device))
    idle_timeout_s = options.idle_minutes * 60
    if not recorder.keeps_log:
        report(network_notice(options.db) or f"database: {options.db}: is kept with a rollback journal")
    try:
        if _acquire(lock, recorder, idle_timeout_s):
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
        self._joining_seen: object = None
        self._waiting: set[int] = set()
        """Runs that have been loaded and wait for those that are to be stepped with them."""
        self._commands = CommandDesk(recorder, self._runs, leave=self._leave)
        self._tasks = TaskDesk(
            TaskQueue(recorder),
            TaskContext(recorder.path, recorder.device, self._load_models),
            report=report,
            explain=self._explain,
        )
        self._is_leaving = False
        self._card: Card | None = None
        self._last_work = time.monotonic()

    def serve(self) -> None:
        """Obey, claim, step; wait when there is nothing to do; leave when that has lasted too long."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, self._on_signal)
        self._describe("starting")
        stop_beating = threading.Event()
        heart = threading.Thread(target=self._beat, args=(stop_beating,), daemon=True)
        heart.start()
        try:
            for crashed in self._recorder.mark_crashed():
                report(f"run {crashed}: its worker is gone; marked as crashed")
            for task in TaskQueue(self._recorder).fail_lost():
                report(f"task {task}: its worker is gone; it has failed")
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
        except DatabaseGoneError:
            self._rescue()
        finally:
            stop_beating.set()
            heart.join()

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
            bundle = self._load_bundle(claim.run, spec)
            _check_weights(spec.bundle, before=claim.digest, now=bundle.digest)
            initial = None if claim.initial is None else claim.initial[np.newaxis]
            optimization = begin_search([spec], bundle, initial=initial, patience_s=PATIENCE_S)
            if claim.checkpoint is not None:
                optimization.restore(0, claim.checkpoint)
            optimization.take_spec(0, spec)
            run = ActiveRun.of(claim, bundle, optimization, self._recorder)
            runs_on = environment(str(bundle.device), is_compiled=spec.compile)
        except Exception as error:
            self._fail(claim.run, self._recorder.next_step(claim.run), error)
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

    def _load_bundle(self, run: int, spec: RunSpec) -> "LoadedBundle":
        report(f"run {run}: loading {spec.bundle}")
        try:
            return self._load_models(spec)
        except CardTooSmallError:
            raise  # what would fit is for the user to choose; the CPU is hardly it
        except UserError as error:
            if spec.device != "auto" or self._recorder.device == "cpu":
                raise
            self._recorder.add_event(run, None, Event("device", f"on the CPU: {error}"))
            return self._load_models(spec, device="cpu")

    def _load_models(self, spec: RunSpec, *, device: str | None = None) -> "LoadedBundle":
        """The models of a spec; at once where this process has them already."""
        from engine.models.loading import load_bundle

        def show(part: str) -> None:
            self._describe(f"loading {spec.bundle}: {part}")

        models = load_bundle(
            spec.bundle,
            device=device or self._recorder.device,
            dtype=spec.dtype,
            encoder=spec.encoder,
            compiled=spec.compile,
            progress=show,
            downloads=show,
        )
        self._look_at_card()
        return models

    def _look_at_card(self) -> None:
        """Have the figures of the device's card recorded from now on; CUDA is in use now."""
        if self._card is None and self._recorder.device != "cpu":
            try:
                self._card = Card.of_device(self._recorder.device)
            except UserError as error:
                report(str(error))

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

    def _fail(self, run: int, step: int, error: Exception) -> None:
        self._end_failed(run, step, self._explain(error))

    def _end_failed(self, run: int, step: int, reason: str) -> None:
        report(f"run {run}: failed: {reason}")
        self._recorder.end(run, step, Status.FAILED, Event("failed", reason), reason)
        self._runs.pop(run, None)
        self._describe_activity()

    def _explain(self, error: Exception) -> str:
        """Put an error into one line; what nobody has foreseen goes into the log as a whole."""
        reason = " ".join(str(error).split()) or type(error).__name__
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which goes on with how it keeps its books
            reason = ". ".join(reason.split(". ")[:_SENTENCES_OF_FULL_CARD]).removesuffix(".")
        if not isinstance(error, UserError):
            traceback.print_exception(error)
            reason = f"{type(error).__name__}: {reason}; the whole error is in the worker's log"
        if "CUDA error" in reason:  # the process can no longer use the card; the next worker can
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
        self._describe(", ".join(activities) or "idle")

    def _describe(self, state: str) -> None:
        log = worker_log(self._recorder.path, self._recorder.device)
        self._recorder.describe_worker(os.getpid(), state, self._idle_timeout_s, log)

    def _beat(self, stop: threading.Event) -> None:
        recorder: Recorder | None = None
        while not stop.wait(_HEARTBEAT_S):
            try:
                recorder = recorder or Recorder(self._recorder.path, self._recorder.device, report=report)
            except UserError as error:  # locked by another program, for now
                report(f"heartbeat: {error}")
                continue
            if self._recorder.is_in_place():
                recorder.beat(os.getpid(), self._card.figures() if self._card else None)
        if recorder is not None:
            recorder.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        self._is_leaving = True


def _check_weights(name: str, *, before: str | None, now: str) -> None:
    """Refuse to go on with other models than those that a run's rows are of."""
    if before is not None and before != now:
        raise UserError(
            f"bundle: {name} has other weights now than when the run began ({now[:8]}, then {before[:8]}): "
            "start a new run, from a stored z of this one if you like"
        )


def _acquire(lock: FileLock, recorder: Recorder, idle_timeout_s: float) -> bool:
    """Take the lock. False: another worker is at work. One that is just leaving is waited for.

    Where files cannot be locked, whoever is alive by the database holds the office.
    """
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    if not takes_locks(recorder.path.parent):
        report(f"worker: files in {recorder.path.parent} cannot be locked; going by what the database says")
        log = worker_log(recorder.path, recorder.device)
        while not (is_taken := recorder.take_office(os.getpid(), idle_timeout_s, log)):
            if time.monotonic() > deadline:
                break
            time.sleep(_LOCK_POLL_S)
        return is_taken
    while time.monotonic() < deadline:
        try:
            lock.acquire(timeout=_LOCK_POLL_S)
        except Timeout:
            if recorder.another_worker_is_alive():
                return False
        else:
            return True
    return False


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
