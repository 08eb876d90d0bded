"""`run`: queue a run and follow it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.verbs.arguments import DatabaseOption, chosen_bundle, chosen_database
from tui.verbs.option_types import InitOption, InitRandomOption, InitVectorOption
from tui.verbs.run_options import RunOptions, takes_run_options
from tui.verbs.spelled_options import initial_of

if TYPE_CHECKING:
    from engine.spec import RunSpec
    from tui.presets import Preset


@takes_run_options
def run(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel="What",
            help="Begin from a preset, one of your own or of those that `objectives` lists; what is given "
            "besides comes before it.",
        ),
    ] = None,
    init: InitOption = None,
    init_random: InitRandomOption = None,
    init_vector: InitVectorOption = None,
    *,
    options: RunOptions,
    db: DatabaseOption = None,
) -> None:
    """Queue a run and follow it. Without options: the published experiment on the embedded models.

    Values in parentheses are the defaults. Ctrl-C leaves the run going.
    """
    chosen = _chosen_preset(preset, options.bundle)
    fields = options.spec_fields(chosen.spec)
    initial = initial_of(init, init_random, init_vector)
    if initial is not None:
        fields["init"] = initial
    database = chosen_database(context, db)
    break_points = chosen.break_points if options.break_points is None else options.break_points
    run_id = _queue(database, chosen.spec, fields, options.session, options.name, break_points)
    options.follow_or_print(database, run_id)


def _chosen_preset(name: str | None, bundle: str | None) -> "Preset":
    """What the options are laid over: one of the user's own as it is, any other on the user's models."""
    from engine.spec import RunSpec, with_changes
    from tui.presets import BUILT_IN, Preset, find_preset

    preset = Preset(RunSpec()) if name is None else find_preset(name)
    if name is not None and not any(preset is known for known in BUILT_IN.values()):
        return preset
    return Preset(with_changes(preset.spec, bundle=chosen_bundle(bundle)), preset.break_points)


def _queue(
    database: Path,
    base: "RunSpec",
    fields: dict[str, object],
    session: str | None,
    name: str | None,
    break_points: Sequence[str],
) -> int:
    from engine.control import queue_run
    from engine.spec import with_changes

    spec = with_changes(base, **fields)
    run_id = queue_run(database, spec, session=session, name=name, break_points=break_points)
    print(f"run {run_id}: queued in {database}", file=sys.stderr)
    return run_id
