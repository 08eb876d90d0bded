"""Commands that were asked for and not answered yet: what the screen shows as pending."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.commands import parse_halt
from engine.schedule import parse_schedule, split_start
from engine.store.records import CommandRecord, RunRecord, Status

LR_FACTOR = 1.25

DECIDES_WHETHER_A_RUN_GOES_ON = frozenset({"pause", "resume", "stop"})
"""Kinds of commands of which the newest one holds."""


@dataclass
class Asked:
    """A command that this screen asked for, from the key press until the worker's answer is read."""

    run: int
    kind: str
    arguments: Mapping[str, Any]
    command: int | None = None
    """Its id, once it is in the database."""


@dataclass
class Pending:
    """Pending commands of all runs: those in the database, and those on their way there."""

    _asked: list[Asked] = field(default_factory=list)
    _stored: dict[int, tuple[CommandRecord, ...]] = field(default_factory=dict)

    def ask(self, run: int, kind: str, arguments: Mapping[str, Any]) -> Asked:
        """Note that a command is on its way."""
        asked = Asked(run, kind, arguments)
        self._asked.append(asked)
        return asked

    def saved(self, asked: Asked, command: int) -> None:
        """The command is in the database now."""
        asked.command = command
        self._forget_known()

    def refused(self, asked: Asked) -> None:
        """The command was not accepted."""
        self._asked.remove(asked)

    def read(self, run: int, commands: tuple[CommandRecord, ...]) -> None:
        """Take over how the commands of a run stand in the database."""
        self._stored[run] = commands
        self._forget_known()

    def of(self, run: int) -> list[tuple[str, Mapping[str, Any]]]:
        """Kind and arguments of what is pending for a run, oldest first."""
        stored = [
            (command.kind, command.arguments)
            for command in self._stored.get(run, ())
            if command.status == "pending"
        ]
        return stored + [(asked.kind, asked.arguments) for asked in self._asked if asked.run == run]

    def rejection(self, run: int) -> CommandRecord | None:
        """The newest command of a run, where the worker rejected it and nothing was asked since."""
        newest = max(self._stored.get(run, ()), key=lambda command: command.id, default=None)
        is_rejected = newest is not None and newest.status == "rejected"
        return newest if is_rejected and not self.of(run) else None

    def lr(self, run: int, in_force: float | None) -> float | None:
        """The learning rate that a run will have once everything pending is done.

        A schedule that is pending begins with the one before it, unless it says with what.
        """
        for kind, arguments in reversed(self.of(run)):
            if kind == "set" and (number := _number_of(arguments.get("lr"))) is not None:
                return number
        return in_force

    def weights(self, run: int, in_force: Mapping[str, float]) -> dict[str, float]:
        """The weights of loss terms that a run will have then; a schedule begins with the one before it."""
        weights = dict(in_force)
        for kind, arguments in self.of(run):
            if kind == "set":
                given = arguments.get("weights", {}).items()
                numbers = {name: _number_of(weight) for name, weight in given}
                weights |= {name: number for name, number in numbers.items() if number is not None}
        return weights

    def schedules(self, run: int, in_force: Mapping[str, str]) -> dict[str, str]:
        """The schedules of `lr` and of weights that a run will have then; a number ends one."""
        schedules = dict(in_force)
        for kind, arguments in self.of(run):
            if kind != "set":
                continue
            for name, value in {**arguments, **arguments.get("weights", {})}.items():
                if isinstance(value, str):
                    schedules[name] = split_start(value)[1]
                else:
                    schedules.pop(name, None)
        return schedules

    def halt(self, run: RunRecord) -> int | None:
        """The step whose row will be the last before a run that goes on pauses, where one was asked for."""
        if run.status not in (Status.QUEUED, Status.LOADING, Status.RUNNING):
            return None
        applied = [
            command
            for command in self._stored.get(run.id, ())
            if command.status == "applied" and command.kind in DECIDES_WHETHER_A_RUN_GOES_ON
        ]
        newest = max(applied, key=lambda command: command.id, default=None)
        if newest is None or newest.kind != "resume" or newest.applied_step is None:
            return None
        halt = parse_halt(newest.arguments, next_step=newest.applied_step, steps=run.steps)
        return halt.step if halt else None

    def will_be_paused(self, run: int, *, is_paused: bool) -> bool:
        """Whether a run will be paused once everything pending is done."""
        for kind, _ in reversed(self.of(run)):
            if kind in ("pause", "resume"):
                return kind == "pause"
        return is_paused

    def _forget_known(self) -> None:
        """A command that was read back from the database is the database's to tell about."""
        self._asked = [
            asked for asked in self._asked if asked.command is None or asked.command > self._newest(asked.run)
        ]

    def _newest(self, run: int) -> int:
        return max((command.id for command in self._stored.get(run, ())), default=0)


def describe(kind: str, arguments: Mapping[str, Any]) -> str:
    """A command in a few words: `pause`, `lr 0.0125`, `5 steps`, `break on loss<0.2`."""
    match kind, dict(arguments):
        case "set", settings:
            weights = settings.pop("weights", {})
            said = [f"{name} {set_to(name, value)}" for name, value in settings.items()]
            said += [f"weight of {name} {set_to(name, value)}" for name, value in weights.items()]
            return ", ".join(said)
        case "resume", {"steps": steps}:
            return f"{steps} step" if steps == 1 else f"{steps} steps"
        case "resume", {"until": step}:
            return f"on to step {step}"
        case "extend", {"steps": steps}:
            return f"{steps} steps more"
        case "break", {"when": condition}:
            return f"break on {condition}"
        case "unbreak", {"when": condition}:
            return f"no break on {condition}"
    return kind


def _number_of(value: object) -> float | None:
    """The number that `lr` or a weight is set to, or that its schedule begins with; None: none is named."""
    if isinstance(value, str):
        return split_start(value)[0]
    return float(value) if isinstance(value, int | float) else None


def by_a_quarter(lr: float, *, up: bool) -> float:
    """The learning rate a quarter up, or that step back, without the dust of floating point."""
    return float(f"{lr * LR_FACTOR if up else lr / LR_FACTOR:.6g}")


def set_to(name: str, value: object) -> str:
    """What `lr` or a weight is set to: a number, or a schedule in words."""
    if isinstance(value, str):
        return schedule_words(name, value)
    return f"{value:z.4g}" if isinstance(value, float) else str(value)


def schedule_words(name: str, text: str) -> str:
    """A schedule in words: `cosine to 0 over 100 steps`; one that this program does not know as it is.

    What it begins with stands before it, where that is named: `0.02, cosine to 0 over 100 steps`.
    """
    start, schedule = split_start(text)
    try:
        words = parse_schedule(schedule, of=name).describe()
        return words if start is None else f"{start:g}, {words}"
    except ValueError:
        return text
