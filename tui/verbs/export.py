"""`export`, `import`: runs and sessions as files, and back."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from engine.export import Format, format_of, runs_of_session, write_file, write_text
from engine.sharing.layout import SUFFIX
from engine.store.reading import Reader
from tui.text import safe_text
from tui.verbs.arguments import DatabaseOption, chosen_database, run_number


def export(
    context: typer.Context,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            show_default=False,
            help="File (.md, .csv, .jsonl, .parquet, .html, .safetensors; .zip for a bundle); - is stdout.",
        ),
    ],
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN...", show_default=False, help="Numbers of the runs.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="NAME", show_default=False, help="All runs of this session."),
    ] = None,
    kind: Annotated[
        Format | None,
        typer.Option("--format", show_default=False, help="Format, if the file's name does not say it."),
    ] = None,
    bundle: Annotated[
        bool,
        typer.Option(
            "--bundle", help="The session with everything recorded of it, for `import` into another database."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    db: DatabaseOption = None,
) -> None:
    """Write runs to a file: the published tables' form, CSV, JSON lines, Parquet, a report, vectors.

    With --bundle a whole session is written, to be handed on.
    """
    database = chosen_database(context, db)
    numbers = [run_number(run) for run in runs or ()]
    if bundle:
        _export_bundle(database, session, to, has_runs=bool(numbers), kind=kind, force=force)
        return
    if (session is None) == (not numbers):
        raise UserError("export: give the numbers of runs, or a --session")
    with Reader(database) as reader:
        if reader.notice is not None:
            typer.echo(reader.notice, err=True)
        if session is not None:
            numbers = runs_of_session(reader, session)
        if to == "-":
            if kind is Format.CSV and sys.stdout.isatty():
                raise UserError("--to: CSV keeps texts as they are, control characters too: name a file")
            write_text(reader, numbers, kind or Format.MARKDOWN, sys.stdout)
        else:
            path = Path(to)
            if kind is None and path.suffix.lower() == SUFFIX:
                raise UserError(f"to: {path}: a session's bundle is written with --bundle --session NAME")
            write_file(reader, numbers, path, kind or format_of(path), force=force)


def import_(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", show_default=False, help="What `export --bundle` has written.")
    ],
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="NAME", show_default=False, help="Another name for the session."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Add it although it is there already.")] = False,
    db: DatabaseOption = None,
) -> None:
    """Add a session that somebody has handed on. Nothing in the file is executed."""
    from engine.sharing.importing import import_session

    imported = import_session(Path(file), chosen_database(context, db), session=session, again=again)
    numbers = list(imported.runs.values())
    what = "no runs" if not numbers else f"run {numbers[0]}" if len(numbers) == 1 else _range(numbers)
    typer.echo(f"session {safe_text(imported.session)}: {what}")


def _export_bundle(
    database: Path, session: str | None, to: str, *, has_runs: bool, kind: Format | None, force: bool
) -> None:
    if has_runs or session is None:
        raise UserError("--bundle: takes a whole session: name it with --session, and no runs")
    if kind is not None:
        raise UserError("--bundle: has a form of its own: leave --format away")
    if to == "-":
        raise UserError("--to: a bundle can only be written to a file")
    from engine.sharing.packing import pack_session

    pack_session(database, session, Path(to), force=force)


def _range(numbers: list[int]) -> str:
    return f"{len(numbers)} runs, {numbers[0]} to {numbers[-1]}"
