"""`fork`: queue a run that starts from a row of another one, and follow it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number, step_number
from tui.verbs.run_options import RunOptions, takes_run_options


@takes_run_options
def fork(
    context: typer.Context,
    run: RunArgument,
    step: Annotated[
        str,
        typer.Option("--step", metavar="STEP", show_default=False, help="Row of the parent to start from."),
    ],
    *,
    options: RunOptions,
    db: DatabaseOption = None,
) -> None:
    """Start a run from the z of a row, with the optimiser's state where a checkpoint has it.

    What is left out is as it was in that row of the parent, and not the value in parentheses. An empty value
    (--context "", --clip "") takes away what the parent has; --option and --schedule are added to its own.

    With the state the fork goes on from that step as its parent did, and --steps says where it ends. Without
    it a run with a fresh optimiser begins at step 0, its schedules with it, and stderr says why. For that in
    any case use run --init-vector RUN:STEP.
    """
    row = run_number(run), step_number(step)
    database = chosen_database(context, db)
    run_id = _queue(database, row, options)
    options.follow_or_print(database, run_id)


def _queue(database: Path, row: tuple[int, int], options: RunOptions) -> int:
    from engine.control import queue_forks
    from engine.forking import fork_point
    from engine.spec import with_changes
    from engine.store.reading import Reader

    with Reader(database) as reader:
        point = fork_point(reader, *row)
    spec = with_changes(point.spec, **options.spec_fields(point.spec))
    (run_id,) = queue_forks(
        database,
        *row,
        [spec],
        session=options.session,
        names=[options.name],
        break_points=options.break_points or (),
    )
    origin = point.origin(method=spec.method, bundle=spec.bundle, norm=spec.norm, optimizer=spec.optimizer)
    print(f"run {run_id}: queued in {database}; from {origin}", file=sys.stderr)
    return run_id
