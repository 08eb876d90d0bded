"""What several verbs are given: a database, the number of a run."""

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from engine.store.location import ENVIRONMENT_VARIABLE, database_path

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="PATH",
        show_default=False,
        help=f"Database; else the one that {ENVIRONMENT_VARIABLE} names, else ./sessions.db.",
    ),
]

RunArgument = Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="Number of the run.")]
"""Text, so that `run_number` can say which value was wrong."""


def chosen_database(context: typer.Context, option: str | None) -> Path:
    """The database named after the verb, else before it, else by the environment, else the default."""
    named = option or context.obj
    return database_path(Path(named) if named else None)


def run_number(text: str) -> int:
    """The number of a run.

    Raises:
        UserError: the text is no number from 1 on.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**63):
        raise UserError(f"run: {text!r}: should be the number of a run, as `sonar-explore list` shows it")
    return int(text)
