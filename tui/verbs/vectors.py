"""`nearest` and `interpolate`: what lies around a stored z, and on the way from one to another."""

import sys
from typing import Annotated

import typer

from engine.errors import UserError
from engine.tasks import PATHS
from tui.forms import ListForm
from tui.row_names import row_of
from tui.verbs.arguments import (
    DatabaseOption,
    RunArgument,
    chosen_database,
    number_above_0,
    run_number,
    step_number,
)


def nearest(
    context: typer.Context,
    run: RunArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", show_default=False, help="Row of the run.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="z|prediction|init|target",
            show_default=False,
            help="Compare with such vectors only; may be given several times.",
        ),
    ] = None,
    limit: Annotated[str, typer.Option(metavar="NUMBER", help="How many to print at most.")] = "20",
    every: Annotated[
        bool, typer.Option("--all", help="Print every vector, and not only the nearest of each run.")
    ] = False,
    form: Annotated[ListForm, typer.Option("--format", help="How they are printed.")] = ListForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """Print the stored vectors that are nearest to the z of a row, by cosine.

    Compared are all runs of the same bundle in the database.
    """
    row, most = (run_number(run), step_number(step)), number_above_0("limit", limit)
    from engine.nearest import KINDS
    from engine.nearest import nearest as nearest_vectors
    from engine.store.reading import Reader
    from tui.vector_tables import neighbour_object, print_neighbours

    with Reader(chosen_database(context, db)) as reader:
        if reader.notice is not None:
            typer.echo(reader.notice, err=True)
        found = nearest_vectors(reader, *row, kinds=tuple(kind or KINDS), limit=most, one_per_run=not every)
    if form is ListForm.JSONL:
        from engine.export import json_line

        for neighbour in found:
            print(json_line(neighbour_object(neighbour)))
    elif found:
        print_neighbours(found)
    else:
        print("nothing else is stored that could be compared", file=sys.stderr)


def interpolate(
    context: typer.Context,
    first: Annotated[
        str, typer.Argument(metavar="RUN:STEP", show_default=False, help="Row at the one end, as in 7:40.")
    ],
    last: Annotated[
        str, typer.Argument(metavar="RUN:STEP", show_default=False, help="Row at the other end.")
    ],
    points: Annotated[
        str, typer.Option(metavar="NUMBER", help="How many points, both ends among them.")
    ] = "9",
    path: Annotated[
        str,
        typer.Option(
            metavar="|".join(PATHS),
            help="Along the straight line, or along the arc between the directions with an even norm.",
        ),
    ] = PATHS[0],
    form: Annotated[ListForm, typer.Option("--format", help="How they are printed.")] = ListForm.TABLE,
    db: DatabaseOption = None,
) -> None:
    """Go from the z of a row to that of another one: each point is decoded, and so is its prediction.

    Target and loss are those of the first row's run. The two runs are of the same bundle.
    """
    ends = row_of("from", first), row_of("to", last)
    arguments = {
        "from": list(ends[0]),
        "to": list(ends[1]),
        "points": number_above_0("points", points),
        "path": path,
    }
    from engine.store.reading import Reader
    from engine.vector_path import points_of, read_plan
    from tui.vector_tables import point_object, print_points
    from tui.verbs.waiting import worked_out

    database = chosen_database(context, db)
    with Reader(database) as reader:
        read_plan(reader, arguments)
    task = worked_out(
        database,
        "interpolate",
        run=ends[0][0],
        arguments=arguments,
        description=f"from {first} to {last}",
    )
    if task.result is None:
        raise UserError(f"interpolate: {task.error or 'somebody cancelled it'}")
    found = points_of(task.result)
    if form is ListForm.JSONL:
        from engine.export import json_line

        for point in found:
            print(json_line(point_object(point)))
    else:
        print_points(found)
