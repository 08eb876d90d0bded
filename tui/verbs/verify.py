"""The verb that makes a recorded run again and compares."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from engine.errors import UserError
from engine.verdict import Verdict
from tui.exit_codes import ExitCode
from tui.text import safe_text
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number, whole_number
from tui.verbs.waiting import worked_out


class VerifyForm(StrEnum):
    """How a verdict is printed."""

    TABLE = "table"
    JSON = "json"


def verify(
    context: typer.Context,
    run: RunArgument,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="STEP", show_default=False, help="Only the rows up to this step."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", show_default=False, help="On another device than the run's."),
    ] = None,
    form: Annotated[
        VerifyForm, typer.Option("--format", help="How it is printed; json is one object in one line.")
    ] = VerifyForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """Make a recorded run again, and compare every number, vector and text with the record.

    Exit code 0: all are equal. 1: something differs, and the first that does is named. 2: it cannot be made
    again, and why.
    """
    database, number = chosen_database(context, db), run_number(run)
    task = worked_out(
        database,
        "verify",
        run=number,
        device=device,
        arguments={} if to is None else {"to": whole_number("to", to)},
        description=f"verifying run {number}",
    )
    if task.result is None:
        raise UserError(f"run {number}: cannot be verified: {task.error or 'somebody cancelled it'}")
    verdict = Verdict.from_result(task.result)
    if form is VerifyForm.JSON:
        typer.echo(json.dumps(task.result))
    else:
        typer.echo(safe_text(f"run {number}: {verdict.summary}"))
        for line in verdict.details:
            typer.echo(safe_text(f"  {line}"))
    if not verdict.equal:
        raise typer.Exit(ExitCode.FAILED)
