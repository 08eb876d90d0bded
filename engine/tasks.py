"""Tasks: what a worker can be asked to work out besides runs, and what each kind may be given."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import UserError
from engine.store.records import RunRecord

Arguments = Mapping[str, Any]

PATHS = ("linear", "spherical")
"""Ways from one z to another."""

MAX_POINTS = 1000
"""Most points of an interpolation."""


def check_task(kind: str, run: RunRecord | None, arguments: Arguments) -> dict[str, Any]:
    """The arguments of a task as they are written, once it is sure that it can be done.

    Raises:
        UserError: the kind is unknown, its arguments are not allowed, or its run cannot be used.
    """
    if kind not in TASKS:
        raise UserError(f"task: {kind!r} is unknown; there are {', '.join(TASKS)}")
    return TASKS[kind](run, arguments)


def _check_verify(run: RunRecord | None, arguments: Arguments) -> dict[str, Any]:
    """{} for the whole run, or {"to": K} for its rows up to step K."""
    if run is None:
        raise UserError("verify: which run is needed")
    if run.origin != "recorded":
        raise UserError(f"run {run.id}: is {run.origin}, and was never run here: there is nothing to verify")
    if run.last_step is None:
        raise UserError(f"run {run.id}: has no rows yet that could be verified")
    _check_names("verify", arguments, ("to",))
    if "to" not in arguments:
        return {}
    to = _whole_number("to", arguments["to"])
    if not 0 <= to <= run.last_step:
        raise UserError(f"to: {to}: run {run.id} has rows 0 to {run.last_step}")
    return {"to": to}


def _check_interpolate(run: RunRecord | None, arguments: Arguments) -> dict[str, Any]:
    """{"from": [RUN, STEP], "to": [RUN, STEP], "points": N, "path": one of PATHS}."""
    _check_names("interpolate", arguments, ("from", "to", "points", "path"))
    ends = {end: _row("interpolate", end, arguments.get(end)) for end in ("from", "to")}
    points = _whole_number("points", arguments.get("points", 9))
    if not 2 <= points <= MAX_POINTS:
        raise UserError(f"points: {points}: allowed are 2 to {MAX_POINTS}")
    path = arguments.get("path", PATHS[0])
    if path not in PATHS:
        raise UserError(f"path: {path!r:.40}: allowed are {', '.join(PATHS)}")
    return {**ends, "points": points, "path": path}


TASKS: Mapping[str, Callable[[RunRecord | None, Arguments], dict[str, Any]]] = {
    "verify": _check_verify,
    "interpolate": _check_interpolate,
}
"""The check of each kind's run and arguments. What does the work stands in `engine.work.task_runners`."""


def _check_names(kind: str, arguments: Arguments, allowed: tuple[str, ...]) -> None:
    if unknown := [name for name in arguments if name not in allowed]:
        raise UserError(f"{kind}: {', '.join(unknown)}: what can be given is {', '.join(allowed)}")


def _row(kind: str, end: str, value: object) -> list[int]:
    match value:
        case [run, step]:
            return [_whole_number(end, run), _whole_number(end, step)]
    raise UserError(f"{kind}: {end}: a row is needed, as its run and step")


def _whole_number(field: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UserError(f"{field}: {value!r:.40}: should be a whole number")
