"""`replay`: open the app with a run being played again."""

from typing import Annotated

import typer

from engine.errors import UserError
from engine.store.reading import Reader
from tui import cli, settings
from tui.exit_codes import ExitCode
from tui.playback import Speed, parse_speed
from tui.replay import ReplayRequest
from tui.verbs.arguments import DatabaseOption, RunArgument, run_number

SCREEN_FLAGS = "screen"
"""Under this name the settings of the screen that stand before the verb are in typer's `Context.meta`."""


def replay(
    context: typer.Context,
    run: RunArgument,
    speed: Annotated[
        str,
        typer.Option(
            metavar="N|recorded", help="0.25 to 100 times ten steps a second, or the time that it took."
        ),
    ] = Speed.X1.value,
    step: Annotated[int, typer.Option("--from", metavar="K", help="Step to begin with.")] = 0,
    db: DatabaseOption = None,
) -> None:
    """Open the app and play a run again as it was recorded."""
    request = ReplayRequest(run_number(run), step, parse_speed(speed))
    effective = settings.load({"database": db or context.obj, **context.meta[SCREEN_FLAGS]})
    settings.hand_on(effective)
    _check(effective.settings, request)
    if not cli.is_on_a_terminal():
        raise UserError("replay: needs a terminal to play on; `sonar-explore show RUN` prints the rows")
    code = cli.open_app(effective.settings, request)
    if code != ExitCode.DONE:
        raise typer.Exit(code)


def _check(chosen: settings.Settings, request: ReplayRequest) -> None:
    """Whether the run has the row to begin with.

    Raises:
        UserError: there is no such run, it has no rows, or its rows do not go that far.
    """
    with Reader(chosen.database_path) as reader:
        run = reader.run(request.run)
    if run.last_step is None:
        raise UserError(f"run {run.id}: has no rows yet: there is nothing to replay")
    if not 0 <= request.step <= run.last_step:
        raise UserError(f"--from: {request.step}: run {run.id} was recorded from step 0 to {run.last_step}")
