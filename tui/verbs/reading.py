"""`list`, `show`: look at what is recorded; nothing is changed."""

import sys
from typing import Annotated

import typer

from engine.export import Format, write_text
from engine.store.reading import Reader
from tui.forms import Form, ListForm
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number


def list_runs(
    context: typer.Context,
    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the runs of this session.")
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Those of archived sessions too.")] = False,
    form: Annotated[ListForm, typer.Option("--format", help="How the runs are printed.")] = ListForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """List the runs, oldest first."""
    from tui.overview import print_run_objects, print_runs

    with Reader(chosen_database(context, db)) as reader:
        _notice(reader)
        if session is not None:
            reader.session(session)
        runs = reader.runs(session, with_archived=archived)
    if form is ListForm.JSONL:
        print_run_objects(runs)
    else:
        print_runs(runs)


def show(
    context: typer.Context,
    run: RunArgument,
    form: Annotated[Form, typer.Option("--format", help="How the rows are printed.")] = Form.TABLE,
    db: DatabaseOption = None,
) -> None:
    """Print one run: what it is, and its trajectory so far."""
    from tui.overview import print_run

    with Reader(chosen_database(context, db)) as reader:
        _notice(reader)
        if form is Form.TABLE:
            print_run(reader, run_number(run))
        else:
            write_text(reader, [run_number(run)], Format(form), sys.stdout)


def _notice(reader: Reader) -> None:
    if reader.notice is not None:
        typer.echo(reader.notice, err=True)
