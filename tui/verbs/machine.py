"""`worker` and `doctor`: look after the machine."""

import time
from typing import Annotated

import typer

from engine.process import is_alive
from engine.store.reading import Reader
from engine.store.records import WorkerRecord
from tui.exit_codes import ExitCode
from tui.text import safe_text
from tui.verbs.arguments import DatabaseOption, chosen_database

_LEAVE_PATIENCE_S = 60.0
_POLL_S = 0.05

worker = typer.Typer(help="Look after the processes that compute.")


@worker.command()
def status(context: typer.Context, db: DatabaseOption = None) -> None:
    """Print the workers of the database, one line each."""
    with Reader(chosen_database(context, db)) as reader:
        alive = _alive(reader)
    for record in alive:
        leaves = f"leaves after {record.idle_timeout_s / 60:g} idle minutes"
        typer.echo(
            f"{record.device}: process {record.pid}, {safe_text(record.state)}, {leaves}; log {record.log}"
        )
    if not alive:
        typer.echo("no worker is running")


@worker.command("stop")
def stop_worker(
    context: typer.Context,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Only the worker of this device.")
    ] = None,
    db: DatabaseOption = None,
) -> None:
    """Ask the workers to pause their runs and leave, and wait until they have."""
    from engine.control import request_worker_stop

    database = chosen_database(context, db)
    with Reader(database) as reader:
        asked = [record for record in _alive(reader) if device in (None, record.device)]
        for record in asked:
            request_worker_stop(database, record.device)
        for record in asked:
            if not _has_left(reader, record):
                typer.echo(
                    f"{record.device}: process {record.pid} has not left yet; it does between two steps",
                    err=True,
                )
                raise typer.Exit(ExitCode.FAILED)
            typer.echo(f"{record.device}: process {record.pid} has left")
    if not asked:
        typer.echo("no worker is running")


def doctor(
    context: typer.Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Instead copy what can be read of a damaged database to a new file beside it, and say what"
            " cannot; exit code 1 if anything is lost.",
        ),
    ] = False,
    db: DatabaseOption = None,
) -> None:
    """Check what the program needs, one line each; exit code 1 if something needed is broken."""
    from tui.doctor import examine, repaired

    if repair:
        is_complete, lines = repaired(chosen_database(context, db))
        for line in lines:
            typer.echo(safe_text(line))
        raise typer.Exit(ExitCode.DONE if is_complete else ExitCode.FAILED)
    is_well = True
    for finding in examine(chosen_database(context, db)):
        is_well = is_well and finding.is_well
        typer.echo(
            f"{'ok    ' if finding.is_well else 'BROKEN'}  {finding.subject:<22} {safe_text(finding.detail)}"
        )
    raise typer.Exit(ExitCode.DONE if is_well else ExitCode.FAILED)


def _alive(reader: Reader) -> list[WorkerRecord]:
    return [record for record in reader.workers() if record.alive]


def _has_left(reader: Reader, record: WorkerRecord) -> bool:
    """Whether the process is gone, and the card's memory with it, within some time."""
    deadline = time.monotonic() + _LEAVE_PATIENCE_S
    while any(other.pid == record.pid for other in _alive(reader)) or is_alive(record.pid, record.start):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
