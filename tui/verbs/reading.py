"""`list`, `show`, `export`: look at what is recorded; nothing is changed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from engine.export import Format, format_of, write_file, write_text
from engine.store.reading import Reader
from tui.forms import Form, ListForm
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number


def list_runs(
    context: typer.Context,
    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the runs of this session.")
    ] = None,
    form: Annotated[ListForm, typer.Option("--format", help="How the runs are printed.")] = ListForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """List the runs, oldest first."""
    from tui.overview import print_run_objects, print_runs

    with Reader(chosen_database(context, db)) as reader:
        _notice(reader)
        runs = reader.runs(session)
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


def export(
    context: typer.Context,
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", show_default=False, help="Numbers of the runs.")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            show_default=False,
            help="File (.md, .csv, .jsonl, .safetensors); - is stdout.",
        ),
    ],
    kind: Annotated[
        Format | None,
        typer.Option("--format", show_default=False, help="Format, if the file's name does not say it."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    db: DatabaseOption = None,
) -> None:
    """Write runs to a file: the published tables' form, CSV, JSON lines, or the kept vectors."""
    numbers = [run_number(run) for run in runs]
    with Reader(chosen_database(context, db)) as reader:
        _notice(reader)
        if to == "-":
            if kind is Format.CSV and sys.stdout.isatty():
                raise UserError("--to: CSV keeps texts as they are, control characters too: name a file")
            write_text(reader, numbers, kind or Format.MARKDOWN, sys.stdout)
        else:
            path = Path(to)
            write_file(reader, numbers, path, kind or format_of(path), force=force)


def _notice(reader: Reader) -> None:
    if reader.notice is not None:
        typer.echo(reader.notice, err=True)
