"""`compare`: several runs side by side; nothing is changed."""

from enum import StrEnum
from typing import Annotated

import typer

from engine.comparison.alignment import Alignment
from engine.errors import UserError
from engine.store.reading import Reader
from tui.verbs.arguments import DatabaseOption, chosen_database, run_number


class CompareForm(StrEnum):
    """How a comparison is printed."""

    TABLE = "table"
    JSON = "json"


def compare(
    context: typer.Context,
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", show_default=False, help="Numbers of 2 to 8 runs.")
    ],
    align: Annotated[
        Alignment,
        typer.Option(help="Lay curves over one another by step, by time spent, or from the first match."),
    ] = Alignment.STEP,
    form: Annotated[
        CompareForm,
        typer.Option("--format", help="How it is printed; json is one object in one line."),
    ] = CompareForm.TABLE,
    step: Annotated[
        int | None,
        typer.Option(
            metavar="K", show_default=False, help="Where predictions are compared; else the newest decoded."
        ),
    ] = None,
    db: DatabaseOption = None,
) -> None:
    """Compare runs: curves, specs, predictions and their words, final z, plane.

    The object of --format json has, each in the order of the runs:

    runs: as in list --format jsonl; align: step, time or match

    specs: field, values, differs; those that differ first

    curves: position, step, figures and terms of at most 200 rows of each run

    step, predictions: changed are start and end of words that the first lacks

    final_z, cosines: kind, runs whose vector it is, cosine to each final z

    plane: explained shares of the variance; steps, x, y of each path

    What does not apply is null.
    """
    from tui.comparison_output import print_comparison, print_comparison_object

    if step is not None and step < 0:
        raise UserError(f"step: {step}: should be 0 or more")
    numbers = [run_number(run) for run in runs]
    with Reader(chosen_database(context, db)) as reader:
        if reader.notice is not None:
            typer.echo(reader.notice, err=True)
        show = print_comparison if form is CompareForm.TABLE else print_comparison_object
        show(reader, numbers, align, step)
