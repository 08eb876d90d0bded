"""The verbs that steer a run: commands that its worker acknowledges."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import UserError
from engine.objective import TERMS
from engine.store.reading import Reader
from engine.store.records import CommandRecord
from tui.exit_codes import ExitCode
from tui.spelled import number_of, number_or_schedule
from tui.tables import event_line
from tui.text import safe_text
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number, whole_number

NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Only ask; do not wait for the worker to acknowledge it.")
]

_PATIENCE_S = 120.0
"""A worker answers between two steps, but not while it loads models."""
_WORKER_CHECK_S = 2.0

_EVENT_KINDS = {
    "pause": ("paused",),
    "resume": ("resumed",),
    "stop": ("stopped",),
    "set": ("weight", "lr"),
    "extend": ("extended",),
    "break": ("break-point",),
    "unbreak": ("break-point",),
}
"""The events by which a command shows in the run's history."""


def pause(
    context: typer.Context, run: RunArgument, no_wait: NoWaitOption = False, db: DatabaseOption = None
) -> None:
    """Pause a run before its next step."""
    _ask(chosen_database(context, db), run_number(run), "pause", {}, no_wait)


def resume(
    context: typer.Context,
    run: RunArgument,
    until: Annotated[
        str | None, typer.Option("--until", metavar="STEP", help="Pause again right after this step.")
    ] = None,
    no_wait: NoWaitOption = False,
    db: DatabaseOption = None,
) -> None:
    """Go on with a run that is paused, or was stopped, has failed or crashed, from its last checkpoint.

    With --until, a run that is going on is told where to pause.
    """
    arguments = {} if until is None else {"until": whole_number("until", until)}
    _ask(chosen_database(context, db), run_number(run), "resume", arguments, no_wait)


def step(
    context: typer.Context,
    run: RunArgument,
    count: Annotated[str, typer.Argument(metavar="N", help="Number of steps.", show_default=False)] = "1",
    no_wait: NoWaitOption = False,
    db: DatabaseOption = None,
) -> None:
    """Make one more step, or N, and pause."""
    arguments = {"steps": whole_number("steps", count)}
    _ask(chosen_database(context, db), run_number(run), "resume", arguments, no_wait)


def stop(
    context: typer.Context, run: RunArgument, no_wait: NoWaitOption = False, db: DatabaseOption = None
) -> None:
    """End a run before its next step; what it has recorded stays."""
    _ask(chosen_database(context, db), run_number(run), "stop", {}, no_wait)


def set_(
    context: typer.Context,
    run: RunArgument,
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=NUMBER|SCHEDULE...",
            show_default=False,
            help="lr or a loss term, and its new value: lr=0.005, fluency=0.1; 0 switches a term off. A "
            "schedule begins at the next step, with the value of then: lr=cosine:0:100, "
            "fluency=linear:0.5:50; or with a number before it: lr=0.02:cosine:0:100.",
        ),
    ],
    no_wait: NoWaitOption = False,
    db: DatabaseOption = None,
) -> None:
    """Change the learning rate and the weights of a run that goes on: all that is given, or nothing."""
    _ask(chosen_database(context, db), run_number(run), "set", _parse_settings(settings), no_wait)


def extend(
    context: typer.Context,
    run: RunArgument,
    steps: Annotated[
        str, typer.Argument(metavar="N", show_default=False, help="How many more updates to make.")
    ],
    no_wait: NoWaitOption = False,
    db: DatabaseOption = None,
) -> None:
    """Make a run longer; one that has ended goes on from its last checkpoint."""
    arguments = {"steps": whole_number("steps", steps)}
    _ask(chosen_database(context, db), run_number(run), "extend", arguments, no_wait)


def break_(
    context: typer.Context,
    run: RunArgument,
    condition: Annotated[
        str | None,
        typer.Argument(
            metavar="CONDITION",
            show_default=False,
            help="changed, match, not-finite, or a bound as in 'loss<0.2'; without it, those set are listed.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove this break-point.")] = False,
    no_wait: NoWaitOption = False,
    db: DatabaseOption = None,
) -> None:
    """Pause a run right after the step in which a condition comes true."""
    database, number = chosen_database(context, db), run_number(run)
    if condition is not None:
        _ask(database, number, "unbreak" if remove else "break", {"when": condition}, no_wait)
        return
    if remove:
        raise UserError("break: --remove: needs the condition to remove")
    with Reader(database) as reader:
        for break_point in reader.run(number).break_points:
            typer.echo(safe_text(break_point))


def _parse_settings(settings: list[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals:
            raise UserError(
                f"set: {setting!r}: should be lr=NUMBER or TERM=NUMBER, or a schedule in its place"
            )
        name = field.removeprefix("weight.")
        place: dict[str, Any] = weights if name in TERMS or name != field else arguments
        if name in place:
            raise UserError(f"set: {field} is given twice")
        can_be_set = place is weights or name == "lr"
        place[name] = number_or_schedule(field, text, of=name) if can_be_set else number_of(text)
    return arguments | ({"weights": weights} if weights else {})


def _ask(database: Path, run: int, kind: str, arguments: Mapping[str, Any], no_wait: bool) -> None:
    from engine.control import request

    with Reader(database) as reader:
        newest = max((event.id for event in reader.events(run)), default=0)
        command_id = request(database, run, kind, arguments)
        if no_wait:
            typer.echo(f"run {run}: {kind} is asked for")
            return
        command = _answer(reader, command_id)
        if command.status == "pending":
            typer.echo(f"run {run}: no answer yet; the worker obeys as soon as it is free", err=True)
            raise typer.Exit(ExitCode.FAILED)
        if command.status == "rejected":
            raise UserError(f"run {run}: {command.reason}")
        events = [
            event
            for event in reader.events(run, after=newest)
            if event.kind in _EVENT_KINDS[kind]
            and event.who == command.who
            and event.step == command.applied_step
        ]
    for event in events:
        typer.echo(f"run {run}: {event_line(event)}")


def _answer(reader: Reader, command_id: int) -> CommandRecord:
    """The command once its worker has answered it, or still pending when that takes too long."""
    from engine.control import ensure_worker, wait_for_command

    deadline = time.monotonic() + _PATIENCE_S
    while True:
        command = wait_for_command(reader, command_id, _WORKER_CHECK_S)
        if command.status != "pending" or time.monotonic() > deadline:
            return command
        ensure_worker(reader.path, command.device)
