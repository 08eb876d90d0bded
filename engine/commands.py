"""What a run's worker can be asked for, and what each command may be given.

Checked twice by the same functions: before a command is written, so that whoever asks hears of it at once,
and by the worker when it takes the command up, because a run goes on in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError
from engine.store.records import Status

COMMANDS = ("pause", "resume", "stop", "set", "extend", "break", "unbreak")


@dataclass(frozen=True)
class Halt:
    """A pause that was asked for in advance."""

    step: int
    """The run pauses right after this row."""

    promise: str
    """What was asked for: `for 5 steps` or `until step 50`."""

    reason: str
    """Why the run has paused then: `after 5 steps` or `at step 50`."""


def parse_halt(arguments: Mapping[str, Any], *, next_step: int, steps: int) -> Halt | None:
    """Where `resume` shall end: {"steps": N}, {"until": K}, or {} for nowhere.

    Args:
        arguments: of the command.
        next_step: the step whose row comes next.
        steps: the number of the run's updates.

    Raises:
        UserError: fewer than 1 step, or a K that has been passed or that the run does not reach.
    """
    if not arguments:
        return None
    if set(arguments) == {"steps"}:
        count = _whole_number("steps", arguments["steps"])
        if count < 1:
            raise UserError(f"steps: {count}: should be 1 or more")
        what = f"{count} step{'' if count == 1 else 's'}"
        return Halt(min(next_step + count - 1, steps), f"for {what}", f"after {what}")
    if set(arguments) == {"until"}:
        until = _whole_number("until", arguments["until"])
        if until < next_step:
            reached = f"the run is at step {next_step - 1} already" if next_step else "should be 0 or more"
            raise UserError(f"until: {until}: {reached}")
        if until > steps:
            raise UserError(f"until: {until}: the run ends with step {steps}")
        return Halt(until, f"until step {until}", f"at step {until}")
    raise UserError(f"resume: {', '.join(arguments)}: what can be given is steps or until")


@dataclass(frozen=True)
class Settings:
    """What `set` shall change: {"lr": 0.005}, {"weights": {"cosine": 0.1}}, or both.

    In place of a number there may be a schedule: {"lr": "cosine:0:100"}, with the number that it begins with
    before it: {"lr": "0.02:cosine:0:100"}.
    """

    lr: float | None
    """None: it does not change, or a schedule begins with that of then."""
    weights: Mapping[str, float]
    """The weights that change to a number, which a schedule may begin with."""
    schedules: Mapping[str, str]
    """Schedules that begin, of `lr` and of weights."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms whose weights change."""
        return tuple(dict.fromkeys((*self.weights, *(name for name in self.schedules if name != "lr"))))

    @property
    def changes_lr(self) -> bool:
        """Whether the learning rate changes."""
        return self.lr is not None or "lr" in self.schedules

    def said(self, name: str) -> str:
        """What `lr` or a weight is set to, in a few words."""
        from engine.schedule import parse_schedule

        number = self.lr if name == "lr" else self.weights.get(name)
        said = [] if number is None else [f"{number:g}"]
        if name in self.schedules:
            said.append(parse_schedule(self.schedules[name], of=name).describe())
        return ", ".join(said)


def parse_settings(arguments: Mapping[str, Any]) -> Settings:
    """Read the arguments of `set`; whether the run may have them is for `engine.spec.steered`.

    Raises:
        UserError: something else, nothing, or neither a number nor a schedule.
    """
    from engine.objective import TERMS
    from engine.spec import check_lr

    weights = arguments.get("weights", {})
    if not isinstance(weights, Mapping):
        raise UserError(f"weights: {weights!r:.40}: should be numbers by the names of terms")
    if not arguments or set(arguments) - {"lr", "weights"} or ("weights" in arguments and not weights):
        others = ", ".join(name for name in arguments if name not in ("lr", "weights")) or "nothing"
        raise UserError(
            f"set: {others} cannot be set; what can be is lr and the weights of {', '.join(TERMS)}"
        )
    given = {**weights, **({"lr": arguments["lr"]} if "lr" in arguments else {})}
    numbers: dict[str, float] = {}
    schedules: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, str):
            start, schedules[name] = _schedule(name, value)
            numbers |= {} if start is None else {name: start}
        else:
            numbers[name] = _number(name if name == "lr" else f"weights.{name}", value)
    lr = numbers.pop("lr", None)
    return Settings(None if lr is None else check_lr(lr), numbers, schedules)


def parse_extension(arguments: Mapping[str, Any], *, steps: int) -> int:
    """The number of updates that a run of `steps` updates has after `extend` by {"steps": n}.

    Raises:
        UserError: n is no whole number from 1 on, or the run would get too long.
    """
    from engine.spec import parse_spec

    if set(arguments) != {"steps"}:
        raise UserError(f"extend: {', '.join(arguments) or 'nothing'}: what is needed is steps")
    more = _whole_number("steps", arguments["steps"])
    if more < 1:
        raise UserError(f"steps: {more}: should be 1 or more")
    return parse_spec(steps=steps + more).steps


def parse_break_point(arguments: Mapping[str, Any]) -> str:
    """The canonical condition of `break` and `unbreak`, from {"when": CONDITION}.

    Raises:
        UserError: it is none.
    """
    from engine.breakpoints import parse_condition

    when = arguments.get("when")
    if set(arguments) != {"when"} or not isinstance(when, str):
        raise UserError(f"break-point: {', '.join(arguments) or 'nothing'}: what is needed is a condition")
    return str(parse_condition(when))


def change_break_points(kind: str, condition: str, existing: tuple[str, ...]) -> tuple[str, ...]:
    """A run's break-points after `break` or `unbreak`.

    Raises:
        UserError: it has this one already, or does not have it.
    """
    if kind == "break":
        if condition in existing:
            raise UserError(f"break-point: {condition}: is set already")
        return (*existing, condition)
    if condition not in existing:
        raise UserError(f"break-point: {condition}: is not set; there is {', '.join(existing) or 'none'}")
    return tuple(other for other in existing if other != condition)


def check_status(kind: str, arguments: Mapping[str, Any], *, status: Status, steps: int) -> None:
    """Refuse a command that a run of this status cannot take.

    Raises:
        UserError: its line continues one that begins with the run.
    """
    if kind == "resume" and status is Status.FINISHED:
        raise UserError(f"has finished its {steps} steps; extend it to go on")
    if kind == "resume" and not arguments and status in (Status.QUEUED, Status.LOADING, Status.RUNNING):
        raise UserError(f"is {status} already")
    can_be_resumed = status is not Status.FINISHED
    if status.has_ended and not (
        kind in ("resume", "extend") or (kind in ("break", "unbreak") and can_be_resumed)
    ):
        raise UserError(f"has ended ({status})")


def _schedule(name: str, text: str) -> tuple[float | None, str]:
    from engine.schedule import parse_schedule, split_start

    start, schedule = split_start(text)
    try:
        return start, str(parse_schedule(schedule, of=name))
    except ValueError as error:
        raise UserError(f"{name}: {text[:60]!r}: should be a number, or a schedule: {error}") from None


def _number(field: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise UserError(f"{field}: {value!r:.40}: should be a number")


def _whole_number(field: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UserError(f"{field}: {value!r:.40}: should be a whole number")
