"""`sessions` and `search`: look through what is recorded, name it, put it away, delete it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from engine.store.reading import Reader
from tui.forms import ListForm
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number

NameArgument = Annotated[
    str, typer.Argument(metavar="SESSION", show_default=False, help="Name of the session.")
]
ArchivedOption = Annotated[bool, typer.Option("--archived", help="Archived sessions too.")]
FormOption = Annotated[ListForm, typer.Option("--format", help="How they are printed.")]

_SHOWN = 40
"""Characters of what was typed that an error repeats."""

sessions = typer.Typer(help="List the sessions; rename, describe, archive and delete them.")


@sessions.callback(invoke_without_command=True)
def list_sessions(
    context: typer.Context,
    archived: ArchivedOption = False,
    form: FormOption = ListForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """List the sessions, oldest first; with a verb behind it, rename, describe, archive or delete one."""
    context.obj = db or context.obj
    if context.invoked_subcommand is not None:
        if archived or form is not ListForm.TABLE:
            raise UserError(f"sessions: --archived and --format do not go with {context.invoked_subcommand}")
        return
    from tui.session_overview import print_session_objects, print_sessions, read_sessions

    with Reader(chosen_database(context, None)) as reader:
        _notice(reader)
        rows = read_sessions(reader, with_archived=archived)
    if form is ListForm.JSONL:
        print_session_objects(rows)
    else:
        print_sessions(rows)


@sessions.command()
def rename(
    context: typer.Context,
    session: NameArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="Its new name.")],
    db: DatabaseOption = None,
) -> None:
    """Give a session another name."""
    from engine.store.sessions import rename_session

    database, key = _found(context, db, session)
    rename_session(database, key, name)
    typer.echo(f"session {_shown(session)}: is {_shown(name.strip())} now")


@sessions.command()
def note(
    context: typer.Context,
    session: NameArgument,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", show_default=False, help="New notes, Markdown; - reads stdin."),
    ] = None,
    db: DatabaseOption = None,
) -> None:
    """Replace a session's notes; without a text, print them."""
    from engine.store.sessions import MOST_NOTES, set_notes

    database, key = _found(context, db, session)
    if text is None:
        from tui.text import safe_text

        with Reader(database) as reader:
            for line in reader.session(session).notes.splitlines():
                typer.echo(safe_text(line))
        return
    if text == "-":
        try:
            text = sys.stdin.read(MOST_NOTES + 1)
        except UnicodeDecodeError as error:
            raise UserError(f"notes: stdin is no UTF-8: {error.reason}") from None
    set_notes(database, key, text)
    typer.echo(f"session {_shown(session)}: notes of {len(text)} characters")


@sessions.command()
def tag(
    context: typer.Context,
    session: NameArgument,
    tags: Annotated[
        list[str] | None,
        typer.Argument(metavar="TAG...", show_default=False, help="All its tags; none takes them away."),
    ] = None,
    db: DatabaseOption = None,
) -> None:
    """Replace a session's tags."""
    from engine.store.sessions import set_tags

    database, key = _found(context, db, session)
    set_tags(database, key, tags or ())
    with Reader(database) as reader:
        typer.echo(f"session {_shown(session)}: tags {', '.join(reader.session(session).tags) or 'none'}")


@sessions.command()
def archive(context: typer.Context, session: NameArgument, db: DatabaseOption = None) -> None:
    """Put a session away: it and its runs are left out of lists and searches."""
    from engine.store.sessions import set_archived

    set_archived(*_found(context, db, session), True)
    typer.echo(f"session {_shown(session)}: archived")


@sessions.command()
def unarchive(context: typer.Context, session: NameArgument, db: DatabaseOption = None) -> None:
    """Take an archived session out again."""
    from engine.store.sessions import set_archived

    set_archived(*_found(context, db, session), False)
    typer.echo(f"session {_shown(session)}: no longer archived")


@sessions.command()
def delete(
    context: typer.Context,
    session: Annotated[
        str | None, typer.Argument(metavar="SESSION", show_default=False, help="Name of the session.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Delete this run instead of a session.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really; there is no way back.")] = False,
    db: DatabaseOption = None,
) -> None:
    """Delete a session with all its runs, or one run, for good; the space is freed."""
    from engine.store import sessions as store

    if (session is None) == (run is None):
        raise UserError("delete: should be given the name of a session, or --run RUN")
    if session is not None:
        database, key = _found(context, db, session)
        what, deleted = f"session {_shown(session)}", {"sessions": [key]}
    else:
        assert run is not None
        database, number = chosen_database(context, db), run_number(run)
        what, deleted = f"run {number}", {"runs": [number]}
        with Reader(database) as reader:
            reader.run(number)
    if not yes:
        raise UserError(f"{what}: would be gone for good: add --yes")
    if session is not None:
        store.delete_session(database, key)
    else:
        store.delete_run(database, number)
    purged = store.purge(database, **deleted)
    freed = f"; the file is {_size(purged.freed_bytes)} smaller" if purged.freed_bytes else ""
    typer.echo(f"{what}: deleted{freed}")


@sessions.command()
def restore(context: typer.Context, db: DatabaseOption = None) -> None:
    """Bring back what was deleted on a screen that was then killed; within a day."""
    from engine.store import sessions as store

    database = chosen_database(context, db)
    deleted = store.restorable(database)
    for item in deleted:
        if item.kind == "session":
            typer.echo(f"session {_shown(store.restore_session(database, item.id))}: is back")
    for item in store.restorable(database):  # those of sessions that are back too
        store.restore_run(database, item.id)
        typer.echo(f"run {_shown(item.title)}: is back")
    if not deleted:
        typer.echo("nothing that was deleted can be had back")


@sessions.command("rename-run")
def name_run(
    context: typer.Context,
    run: RunArgument,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", show_default=False, help="Its new name; without one it has none."),
    ] = None,
    db: DatabaseOption = None,
) -> None:
    """Give a run another name, or none."""
    from engine.store.sessions import rename_run

    number = run_number(run)
    rename_run(chosen_database(context, db), number, name)
    typer.echo(f"run {number}: " + ("has no name now" if name is None else f"is {_shown(name.strip())} now"))


@sessions.command()
def move(
    context: typer.Context,
    run: RunArgument,
    session: Annotated[
        str, typer.Argument(metavar="SESSION", show_default=False, help="Where to; made if it is not there.")
    ],
    db: DatabaseOption = None,
) -> None:
    """Put a run into another session."""
    from engine.store.sessions import move_run

    database, number = chosen_database(context, db), run_number(run)
    move_run(database, number, session)
    with Reader(database) as reader:
        record = reader.run(number)
    typer.echo(f"run {number}: is {_shown(record.session)}/{record.number} now")


def search_texts(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help="What to look for.")],
    archived: ArchivedOption = False,
    form: FormOption = ListForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """Find the runs that ever decoded to a text with all these words, newest first.

    The last word may go on, and so may one with * behind it; words in quotes stand together.
    """
    if not text.strip():
        raise UserError(f"text: {text[:_SHOWN]!r}: empty; what to look for is needed")
    from engine.store.searching import search
    from tui.session_overview import print_hit_objects, print_hits

    with Reader(chosen_database(context, db)) as reader:
        _notice(reader)
        hits = search(reader, text, with_archived=archived)
    if form is ListForm.JSONL:
        print_hit_objects(hits)
    else:
        print_hits(hits)


def _found(context: typer.Context, db: str | None, session: str) -> tuple[Path, int]:
    """The database, and the id of the session of a name in it."""
    database = chosen_database(context, db)
    with Reader(database) as reader:
        return database, reader.session(session).id


def _shown(name: str) -> str:
    from tui.text import safe_text

    return safe_text(name)


def _size(size_bytes: int) -> str:
    from tui.numbers import size_text

    return size_text(size_bytes)


def _notice(reader: Reader) -> None:
    if reader.notice is not None:
        typer.echo(reader.notice, err=True)
