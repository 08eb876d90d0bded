"""`objectives`: all that a run can be asked for beside its texts, as the registries hold it."""

from typing import Annotated

import typer

from tui.forms import ConfigForm


def objectives(
    form: Annotated[
        ConfigForm, typer.Option("--format", help="How it is printed; json is one object in one line.")
    ] = ConfigForm.TABLE,
) -> None:
    """List loss terms, constraints, methods, optimisers, their options and defaults, schedules, and presets.

    The object of --format json has terms (name, about, description, options), constraints, methods,
    optimizers, schedules (form, description, of), and presets (name, description, kind, spec). An option has
    name, default, description, allowed.
    """
    from tui import objective_list

    if form is ConfigForm.JSON:
        objective_list.print_object()
    else:
        objective_list.print_table()
