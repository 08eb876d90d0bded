"""The commands that a worker gets: each is carried out or rejected, and answered with the step it affects."""

from collections.abc import Callable

from engine.breakpoints import parse_condition
from engine.commands import (
    change_break_points,
    check_status,
    parse_break_point,
    parse_extension,
    parse_halt,
    parse_settings,
)
from engine.errors import UserError
from engine.spec import steered
from engine.store.recording import Recorder
from engine.store.records import CommandRecord, Status
from engine.store.run_changes import Event, InForce
from engine.work.active_run import ActiveRun, spec_in_force


class CommandDesk:
    """Takes up the commands for a device's runs and its worker, one after the other."""

    def __init__(self, recorder: Recorder, runs: dict[int, ActiveRun], *, leave: Callable[[], None]) -> None:
        """`runs`: those in memory, by their ids; a stopped one is taken out. `leave` ends the worker."""
        self._recorder = recorder
        self._runs = runs
        self._leave = leave

    def obey(self) -> bool:
        """Carry out or reject every command that waits; False when none was carried out."""
        has_obeyed = False
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
                has_obeyed = True
        return has_obeyed

    def _carry_out(self, command: CommandRecord) -> None:
        if not command.is_readable:
            raise UserError("its arguments are no JSON object")
        if command.run is None:
            if command.kind != "stop":
                raise UserError(f"{command.kind}: the worker itself can only be stopped")
            self._leave()
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
            run.pause()
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
            run.go_on(halt)
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
            run.leave()
            del self._runs[run.id]

    def _set(self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce) -> None:
        settings = parse_settings(command.arguments)
        spec, step = spec_in_force(in_force), self._next_step(command, run)
        changed = steered(spec, step, lr=settings.lr, weights=settings.weights, schedules=settings.schedules)
        events = []
        if settings.terms:
            weights = spec.weights_at(step)
            changes = [f"{term} {weights.get(term, 0):g} → {settings.said(term)}" for term in settings.terms]
            events.append(Event("weight", ", ".join(changes), command.who))
        if settings.changes_lr:
            events.append(Event("lr", f"{spec.lr_at(step):g} → {settings.said('lr')}", command.who))
        if run:
            run.optimization.take_spec(run.place, changed)
        # With a checkpoint at every change, a run that goes on from one steps as it did the first time.
        self._recorder.apply(
            command,
            step,
            events=events,
            lr=changed.lr if changed.lr != in_force.lr else None,
            weights=changed.weights if changed.weights != spec.weights else None,
            schedules=changed.schedules if changed.schedules != spec.schedules else None,
            loss_name=changed.loss_name if settings.terms else None,
            checkpoint=run.checkpoint() if run else None,
        )

    def _extend(
        self, command: CommandRecord, run: ActiveRun | None, status: Status, in_force: InForce
    ) -> None:
        steps = parse_extension(command.arguments, steps=in_force.steps)
        last = self._next_step(command, run)
        if status is Status.FINISHED and last < in_force.steps:
            raise UserError(
                f"the run has ended with a match at step {last}: fork it with population.stop=never to go on"
            )
        if run:
            run.optimization.extend(run.place, steps)
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


_COMMANDS = {
    "pause": CommandDesk._pause,
    "resume": CommandDesk._resume,
    "stop": CommandDesk._stop,
    "set": CommandDesk._set,
    "extend": CommandDesk._extend,
    "break": CommandDesk._change_break_points,
    "unbreak": CommandDesk._change_break_points,
}
