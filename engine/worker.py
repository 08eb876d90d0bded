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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from engine.active_task import TaskDesk
from engine.breakpoints import Condition, NotFinite, parse_condition
from engine.card import Card
from engine.commands import (
    Halt,
    change_break_points,
    check_status,
    parse_break_point,
    parse_extension,
    parse_halt,
    parse_settings,
)
from engine.environment import environment
from engine.errors import UserError
from engine.spec import RunSpec, merge_weights, with_changes
from engine.store.connection import is_damage, network_notice, unwritable
from engine.store.filesystem import takes_locks
from engine.store.recording import Claim, DatabaseGoneError, Event, InForce, Recorder, Settings
from engine.store.records import CommandRecord, Status, StepRecord
from engine.store.schema import prepare
from engine.store.task_queue import TaskQueue
from engine.task_runners import TaskContext
from engine.workerfiles import worker_lock, worker_log

if TYPE_CHECKING:  # torch and the models are imported when the first run is claimed
    from engine.models.loading import LoadedBundle
    from engine.optimizer import Optimization
    from engine.state import RunState
    from engine.step import Step

IDLE_MINUTES_VARIABLE = "SONAR_EXPLORE_IDLE_MINUTES"
DEFAULT_IDLE_MINUTES = 10.0

CHECKPOINT_STEPS = 50
CHECKPOINT_S = 5.0

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
            Worker(recorder, idle_timeout_s=idle_timeout_s).serve()
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


@dataclass
class ActiveRun:
    """A run whose models are loaded and whose state is in memory."""

    id: int
    optimization: "Optimization"
    conditions: list[Condition]
    """Its break-points."""
    before: StepRecord | None
    """The row before the next one."""
    decoded_before: str | None
    """The newest decoded prediction before the next row."""
    weights_asked_for: Mapping[str, float] = field(default_factory=dict)
    """The spec's, before any were set."""
    recorded: deque[Settings] = field(default_factory=deque)
    """What the next rows were made with that are recorded already, and last what is in force after them.

    A run that goes back to its checkpoint after a crash takes the same way again; then this is empty.
    """
    halt: Halt | None = None
    """Where it pauses because that was asked for."""
    state_before_update: "RunState | None" = None
    """The state before the last update, kept for a run that pauses when something is not finite."""
    is_running: bool = True
    checkpoint_step: int = 0
    checkpoint_time: float = field(default_factory=time.monotonic)

    @property
    def spec(self) -> RunSpec:
        """What is optimised, with the number of updates and the weights that are in force."""
        return self.optimization.specs[0]

    @property
    def next_step(self) -> int:
        """The step whose row comes next."""
        return self.optimization.next_step(0)

    @property
    def pauses_when_not_finite(self) -> bool:
        """Whether it has that break-point."""
        return NotFinite() in self.conditions

    def advance(self) -> "Step":
        """Make one step."""
        if self.is_behind:
            (step,) = self.optimization.advance()
            if len(self.recorded) == 1:
                self._take_up(self.recorded.popleft())
            return step
        state = self.optimization.copy_of_state(0) if self.pauses_when_not_finite else None
        (step,) = self.optimization.advance()
        if step.lr is not None:
            self.state_before_update = state
        return step

    @property
    def is_behind(self) -> bool:
        """Whether the next row is recorded already."""
        return bool(self.recorded)

    @property
    def changed_weights(self) -> Mapping[str, float] | None:
        """The terms' weights, where they are not those that were asked for at first."""
        return None if self.spec.weights == self.weights_asked_for else self.spec.weights

    def prepare(self) -> None:
        """Give the next row what it was made with, if it is recorded already."""
        if self.is_behind:
            self._take_up(self.recorded.popleft())

    def _take_up(self, settings: Settings) -> None:
        self.optimization.set_lr(0, settings.lr)
        weights = self.weights_asked_for if settings.weights is None else settings.weights
        if weights != self.spec.weights:
            self.optimization.set_weights(0, weights)

    def conditions_met(self, row: StepRecord) -> list[Condition]:
        """The break-points that a row, the one after `before`, runs into."""
        return [each for each in self.conditions if each.is_met(self.before, row, self.decoded_before)]

    def remember(self, row: StepRecord) -> None:
        """Take a row as the one before the next."""
        self.before = row
        if row.decoded_prediction is not None:
            self.decoded_before = row.decoded_prediction

    def step_back(self, lr: float) -> None:
        """Go back to before the last update, if that is known: its result may be why nothing is finite."""
        self.optimization.go_back(0, self.state_before_update or self.optimization.copy_of_state(0))
        self.optimization.set_lr(0, lr)  # it may have been changed since
        self.state_before_update = None

    def checkpoint(self) -> bytes:
        """The state now, to go on from."""
        self.checkpoint_step, self.checkpoint_time = self.next_step, time.monotonic()
        return self.optimization.state_bytes(0)

    @property
    def checkpoint_is_due(self) -> bool:
        """The newest checkpoint is too many steps or seconds old."""
        return (
            self.next_step - self.checkpoint_step >= CHECKPOINT_STEPS
            or time.monotonic() - self.checkpoint_time >= CHECKPOINT_S
        )


class Worker:
    """The loop of one worker process."""

    def __init__(self, recorder: Recorder, *, idle_timeout_s: float) -> None:
        """`idle_timeout_s`: leave after so many seconds in which no run has stepped."""
        self._recorder = recorder
        self._idle_timeout_s = idle_timeout_s
        self._runs: dict[int, ActiveRun] = {}
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
                self._obey()
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
        """Load a run or make a step of those that are going on, and do a piece of a task; False: nothing."""
        running = [run for run in self._runs.values() if run.is_running]
        for run in running:
            self._advance(run)
        claim = None if running else self._recorder.claim(os.getpid())
        if claim is not None:
            self._load(claim)
        activity = self._tasks.activity
        has_task = self._tasks.work()
        if self._tasks.activity != activity:
            self._describe_activity()
        return bool(running) or claim is not None or has_task

    # Runs

    def _load(self, claim: Claim) -> None:
        from engine.optimizer import Optimization

        try:
            spec = _spec_in_force(claim.in_force)
            bundle = self._load_bundle(claim.run, spec)
            _check_weights(spec.bundle, before=claim.digest, now=bundle.digest)
            initial = None if claim.initial is None else claim.initial[np.newaxis]
            optimization = Optimization([spec], bundle, initial=initial)
            if claim.checkpoint is not None:
                optimization.restore(0, claim.checkpoint)
            optimization.set_lr(0, claim.in_force.lr)
            run = self._active(claim, optimization)
            runs_on = environment(str(bundle.device))
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
        self._describe_activity()
        report(f"run {run.id}: started at step {run.next_step}")

    def _active(self, claim: Claim, optimization: "Optimization") -> ActiveRun:
        step = optimization.next_step(0)
        before, decoded_before = self._recorder.rows_before(claim.run, step)
        halt = None
        if resumed := self._recorder.resumed_with(claim.run):
            arguments, resumed_at = resumed
            halt = parse_halt(arguments, next_step=resumed_at, steps=claim.in_force.steps)
        recorded = deque(claim.recorded)
        if recorded:
            after = recorded[-1].step + 1
            recorded.append(Settings(after, claim.in_force.lr, claim.in_force.weights))
        return ActiveRun(
            claim.run,
            optimization,
            conditions=[parse_condition(condition) for condition in claim.in_force.break_points],
            before=before,
            decoded_before=decoded_before,
            weights_asked_for=RunSpec.model_validate_json(claim.in_force.spec).weights,
            recorded=recorded,
            halt=halt,
            checkpoint_step=step,
        )

    def _load_bundle(self, run: int, spec: RunSpec) -> "LoadedBundle":
        report(f"run {run}: loading {spec.bundle}")
        try:
            return self._load_models(spec.bundle, spec.dtype)
        except UserError as error:
            if spec.device != "auto" or self._recorder.device == "cpu":
                raise
            self._recorder.add_event(run, None, Event("device", f"on the CPU: {error}"))
            return self._load_models(spec.bundle, spec.dtype, device="cpu")

    def _load_models(self, bundle: str, dtype: str, *, device: str | None = None) -> "LoadedBundle":
        """Models by the names of bundle and dtype; at once where this process has them already."""
        from engine.models.loading import load_bundle

        def show(part: str) -> None:
            self._describe(f"loading {bundle}: {part}")

        models = load_bundle(bundle, device=device or self._recorder.device, dtype=dtype, progress=show)
        self._look_at_card()
        return models

    def _look_at_card(self) -> None:
        """Have the figures of the device's card recorded from now on; CUDA is in use now."""
        if self._card is None and self._recorder.device != "cpu":
            try:
                self._card = Card.of_device(self._recorder.device)
            except UserError as error:
                report(str(error))

    def _advance(self, run: ActiveRun) -> None:
        was_behind = run.is_behind
        try:
            run.prepare()
            weights = run.changed_weights
            step = run.advance()
        except Exception as error:
            self._fail(run.id, run.next_step, error)
            return
        row = _row(run.id, step)
        vectors = {"z": step.z} if run.spec.keeps_vector(step.step) else {}
        if step.decoded_prediction is not None:
            vectors["prediction"] = step.prediction
        met = [] if was_behind else run.conditions_met(row)
        events = [Event("break-point", f"met: {condition.describe(row)}") for condition in met]
        is_last = run.optimization.done and step.problem is None
        fails = step.problem is not None and NotFinite() not in met
        ends = is_last or fails
        if run.halt is not None and step.step >= run.halt.step and not (ends or was_behind):
            events.append(Event("paused", run.halt.reason))
        pauses = bool(events) and not ends
        if pauses and step.problem is not None:
            run.step_back(self._recorder.in_force(run.id).lr)
        is_due = not fails and (is_last or pauses or run.checkpoint_is_due)
        self._recorder.record_step(
            row,
            vectors,
            run.checkpoint() if is_due else None,
            token_losses=step.token_losses,
            weights=weights,
            events=events,
            pause_before=run.next_step if pauses else None,
        )
        run.remember(row)
        if pauses:
            run.is_running, run.halt = False, None
            run.before, run.decoded_before = self._recorder.rows_before(run.id, run.next_step)
            self._describe_activity()
            why = "; ".join(event.detail for event in events)
            report(f"run {run.id}: paused after row {step.step}: {why}")
        elif step.problem is not None:
            self._end(run, step.step, Status.FAILED, Event("failed", step.problem), step.problem)
        elif is_last:
            detail = "" if step.match is None else "match" if step.match else "no match"
            self._end(run, step.step, Status.FINISHED, Event("finished", detail))

    def _fail(self, run: int, step: int, error: Exception) -> None:
        reason = self._explain(error)
        report(f"run {run}: failed: {reason}")
        self._recorder.end(run, step, Status.FAILED, Event("failed", reason), reason)
        self._runs.pop(run, None)
        self._describe_activity()

    def _explain(self, error: Exception) -> str:
        """Put an error into one line; what nobody has foreseen goes into the log as a whole."""
        reason = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, UserError):
            traceback.print_exception(error)
            reason = f"{type(error).__name__}: {reason}; the whole error is in the worker's log"
        if "CUDA error" in reason:  # the process can no longer use the card; the next worker can
            self._is_leaving = True
        return reason

    def _end(self, run: ActiveRun, step: int, status: Status, event: Event, error: str | None = None) -> None:
        self._recorder.end(run.id, step, status, event, error)
        self._runs.pop(run.id, None)
        self._describe_activity()
        report(f"run {run.id}: {status} at step {step}")

    # Commands

    def _obey(self) -> None:
        for command in self._recorder.pending_commands():
            run = None if command.run is None else self._runs.get(command.run)
            if run is not None and run.is_behind:
                continue  # it takes effect after the recorded rows, which will soon have been made again
            try:
                self._carry_out(command)
            except (UserError, KeyError, TypeError, ValueError) as error:  # a row may hold anything
                reason = str(error) if isinstance(error, UserError) else repr(error)
                self._recorder.reject(command, " ".join(reason.split()))
            else:
                self._last_work = time.monotonic()
                self._describe_activity()

    def _carry_out(self, command: CommandRecord) -> None:
        if not command.is_readable:
            raise UserError("its arguments are no JSON object")
        if command.run is None:
            if command.kind != "stop":
                raise UserError(f"{command.kind}: the worker itself can only be stopped")
            self._is_leaving = True
            self._recorder.apply(command, None)
            return
        run = self._runs.get(command.run)
        if command.kind not in _COMMANDS:
            raise UserError(f"{command.kind}: is unknown")
        status = self._recorder.status(command.run)
        if run is None and status.is_held_by_worker:
            # By an earlier one, or by none: its end may not have been certain yet when this one began.
            self._recorder.mark_crashed()
            status = self._recorder.status(command.run)
        in_force = self._recorder.in_force(command.run)
        try:
            check_status(command.kind, command.arguments, status=status, steps=in_force.steps)
        except UserError as error:
            raise UserError(f"the run {error}") from None
        _COMMANDS[command.kind](self, command, run, status, in_force)

    def _pause(
        self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce
    ) -> None:
        if status is Status.PAUSED:
            raise UserError("the run is paused already")
        if run:
            run.is_running, run.halt = False, None
        self._recorder.apply(
            command,
            self._next_step(command, run),
            events=[Event("paused", who=command.who)],
            status=Status.PAUSED,
            checkpoint=run.checkpoint() if run else None,
        )

    def _resume(
        self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce
    ) -> None:
        step = self._next_step(command, run)
        halt = parse_halt(command.arguments, next_step=step, steps=in_force.steps)
        if run:
            run.is_running, run.halt = True, halt
        goes_on = status in (Status.QUEUED, Status.LOADING, Status.RUNNING)
        self._recorder.apply(
            command,
            step,
            events=[Event("resumed", halt.promise if halt else "", command.who)],
            status=None if goes_on else Status.RUNNING if run else Status.QUEUED,
        )

    def _stop(self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce) -> None:
        self._recorder.apply(
            command,
            self._next_step(command, run),
            events=[Event("stopped", who=command.who)],
            status=Status.STOPPED,
            checkpoint=run.checkpoint() if run else None,
        )
        if run:
            del self._runs[run.id]

    def _set(self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce) -> None:
        settings = parse_settings(command.arguments)
        spec = _spec_in_force(in_force)
        events = []
        weights = loss_name = None
        if settings.weights:
            weights = merge_weights(spec.weights, settings.weights)
            loss_name = with_changes(spec, weights=weights).loss_name
            changes = [
                f"{term} {spec.weights.get(term, 0):g} → {new:g}" for term, new in settings.weights.items()
            ]
            events.append(Event("weight", ", ".join(changes), command.who))
        if settings.lr is not None:
            events.append(Event("lr", f"{in_force.lr:g} → {settings.lr:g}", command.who))
        if run and weights is not None:
            run.optimization.set_weights(0, weights)
        if run and settings.lr is not None:
            run.optimization.set_lr(0, settings.lr)
        # With a checkpoint at every change, a run that goes on from one steps as it did the first time.
        self._recorder.apply(
            command,
            self._next_step(command, run),
            events=events,
            lr=settings.lr,
            weights=weights,
            loss_name=loss_name,
            checkpoint=run.checkpoint() if run else None,
        )

    def _extend(
        self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce
    ) -> None:
        steps = parse_extension(command.arguments, steps=in_force.steps)
        if run:
            run.optimization.extend(0, steps)
        self._recorder.apply(
            command,
            self._next_step(command, run),
            events=[Event("extended", f"{in_force.steps} → {steps}", command.who)],
            status=Status.QUEUED if status.has_ended else None,
            steps=steps,
        )

    def _change_break_points(
        self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce
    ) -> None:
        condition = parse_break_point(command.arguments)
        conditions = change_break_points(command.kind, condition, in_force.break_points)
        if run:
            run.conditions = [parse_condition(each) for each in conditions]
        what = "set" if command.kind == "break" else "removed"
        self._recorder.apply(
            command,
            self._next_step(command, run),
            events=[Event("break-point", f"{what}: {condition}", command.who)],
            break_points=conditions,
        )

    def _next_step(self, command: CommandRecord, run: ActiveRun | None) -> int:
        """The first step that a command affects."""
        assert command.run is not None
        return run.next_step if run else self._recorder.next_step(command.run)

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
        running = [str(run.id) for run in self._runs.values() if run.is_running]
        activities = [f"running {', '.join(running)}"] if running else []
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
        self._is_leaving = True


_COMMANDS = {
    "pause": Worker._pause,
    "resume": Worker._resume,
    "stop": Worker._stop,
    "set": Worker._set,
    "extend": Worker._extend,
    "break": Worker._change_break_points,
    "unbreak": Worker._change_break_points,
}


def _row(run: int, step: "Step") -> StepRecord:
    return StepRecord(
        run=run,
        step=step.step,
        loss=step.loss,
        terms=step.terms,
        similarity=step.similarity,
        grad_norm=step.grad_norm,
        z_norm=step.z_norm,
        lr=step.lr,
        elapsed_ms=step.elapsed_ms,
        decoded_z=step.decoded_z,
        decoded_prediction=step.decoded_prediction,
        match=step.match,
        state_hash=step.state_hash,
    )


def _spec_in_force(in_force: InForce) -> RunSpec:
    """What a run optimises now: as it was asked for, and changed since."""
    spec = RunSpec.model_validate_json(in_force.spec)
    return with_changes(spec, steps=in_force.steps, weights=in_force.weights or spec.weights)


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


if __name__ == "__main__":
    sys.exit(main())
