"""`pause`, `resume`, `stop`, `set`: commands to a run, acknowledged by its worker."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.records import CommandRecord
from tui.exit_codes import ExitCode
from tui.tables import event_line
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number

NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Only ask; do not wait for the worker to acknowledge it.")
]

_PATIENCE_S = 120.0
"""A worker answers between two steps, but not while it loads models."""
_WORKER_CHECK_S = 2.0

_EVENT_KINDS = {"pause": "paused", "resume": "resumed", "stop": "stopped", "set": "lr"}
"""The event by which a command shows in the run's history."""


def pause(
    context: typer.Context, run: RunArgument, no_wait: NoWaitOption = False, db: DatabaseOption = None
) -> None:
    """Pause a run before its next step."""
    _ask(chosen_database(context, db), run_number(run), "pause", {}, no_wait)


def resume(
    context: typer.Context, run: RunArgument, no_wait: NoWaitOption = False, db: DatabaseOption = None
) -> None:
    """Go on with a run that is paused, or was stopped, has failed or crashed, from its last checkpoint."""
    _ask(chosen_database(context, db), run_number(run), "resume", {}, no_wait)


def stop(
    context: typer.Context, run: RunArgument, no_wait: NoWaitOption = False, db: DatabaseOption = None
) -> None:
    """End a run before its next step; what it has recorded stays."""
    _ask(chosen_database(context, db), run_number(run), "stop", {}, no_wait)


def set_lr(
    context: typer.Context,
    run: RunArgument,
    setting: Annotated[
        str, typer.Argument(metavar="lr=NUMBER", show_default=False, help="The new learning rate.")
    ],
    no_wait: NoWaitOption = False,
    db: DatabaseOption = None,
) -> None:
    """Change the learning rate of a run that goes on."""
    _ask(chosen_database(context, db), run_number(run), "set", _parse_setting(setting), no_wait)


def _parse_setting(setting: str) -> dict[str, float]:
    field, equals, number = setting.partition("=")
    if not equals:
        raise UserError(f"set: {setting!r}: should be lr=NUMBER")
    try:
        return {field: float(number)}
    except ValueError:
        raise UserError(f"{field}: {number!r}: should be a number") from None


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
        event_kind = _EVENT_KINDS[kind]
        event = next((event for event in reader.events(run, after=newest) if event.kind == event_kind), None)
    typer.echo(f"run {run}: {event_line(event) if event is not None else event_kind}")


def _answer(reader: Reader, command_id: int) -> CommandRecord:
    """The command once its worker has answered it, or still pending when that takes too long."""
    from engine.control import ensure_worker, wait_for_command

    deadline = time.monotonic() + _PATIENCE_S
    while True:
        command = wait_for_command(reader, command_id, _WORKER_CHECK_S)
        if command.status != "pending" or time.monotonic() > deadline:
            return command
        ensure_worker(reader.path, command.device)
