"""What several verbs are given: a database, the number of a run."""

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from engine.store.location import ENVIRONMENT_VARIABLE
from tui import settings

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="PATH",
        show_default=False,
        help=f"Database; else the one that {ENVIRONMENT_VARIABLE} or config.toml names, else ./sessions.db.",
    ),
]

RunArgument = Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="Number of the run.")]
"""Text, so that `run_number` can say which value was wrong."""


def chosen_database(context: typer.Context, option: str | None) -> Path:
    """The database named after the verb, else before it, else as the user has set, else the default."""
    effective = settings.load({"database": option or context.obj})
    settings.hand_on(effective)
    return effective.settings.database_path


def run_number(text: str) -> int:
    """The number of a run.

    Raises:
        UserError: the text is no number from 1 on.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**63):
        raise UserError(f"run: {text!r}: should be the number of a run, as `sonar-explore list` shows it")
    return int(text)


def whole_number(field: str, text: str) -> int:
    """A whole number.

    Raises:
        UserError: the text is none.
    """
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{field}: {text!r}: should be a whole number") from None


def step_number(text: str) -> int:
    """The step of a row.

    Raises:
        UserError: the text is no number from 0 on.
    """
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise UserError(f"step: {text!r}: should be the number of a row, from 0 on")
    return int(text)


def number_above_0(field: str, text: str) -> int:
    """A whole number from 1 on.

    Raises:
        UserError: the text is none; the line begins with the field.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise UserError(f"{field}: {text!r}: should be a whole number from 1 on")
    return int(text)


def chosen_bundle(option: str | None) -> str:
    """The bundle named by an option, else the one that the user has set."""
    return option or settings.load().settings.bundle
