"""`gap`: whether the text of z carries a run's prediction, or only the vector does."""

from typing import Annotated

import typer

from engine.store.reading import Reader
from tui.forms import ListForm
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number


def gap(
    context: typer.Context,
    run: RunArgument,
    form: Annotated[ListForm, typer.Option("--format", help="How the rows are printed.")] = ListForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """Print what z says, what is predicted from z, and what is predicted from that text, encoded again.

    Consecutive decoded rows that say the same are printed once; as JSON lines each is an object.
    """
    from tui.gap_output import print_gap, print_gap_objects

    with Reader(chosen_database(context, db)) as reader:
        if form is ListForm.JSONL:
            print_gap_objects(reader, run_number(run))
        else:
            print_gap(reader, run_number(run))
