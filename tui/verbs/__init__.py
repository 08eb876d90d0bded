"""The verbs of the command line. Each imports what it needs when it is called, so that `--help` is quick."""

from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from engine import __version__
from engine.errors import UserError
from tui import cli
from tui.exit_codes import ExitCode
from tui.settings import THEME_NAMES
from tui.verbs.arguments import DatabaseOption
from tui.verbs.bundles import bundles
from tui.verbs.compare import compare
from tui.verbs.config import config
from tui.verbs.export import export, import_
from tui.verbs.fork import fork
from tui.verbs.gap import gap
from tui.verbs.help_text import make_readable
from tui.verbs.machine import doctor, worker
from tui.verbs.objectives import objectives
from tui.verbs.reading import list_runs, show
from tui.verbs.replay import SCREEN_FLAGS, replay
from tui.verbs.run import run
from tui.verbs.sessions import search_texts, sessions
from tui.verbs.steering import break_, extend, pause, resume, set_, step, stop
from tui.verbs.vectors import interpolate, nearest
from tui.verbs.verify import verify

EPILOG = (
    "Exit codes: 0 done; 1 the run failed, or what was checked is not as it should be; "
    "2 bad arguments or data, with one line on stderr; "
    "130 Ctrl-C (a run that is followed goes on)."
)


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{cli.PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def no_verb(
    context: typer.Context,
    db: DatabaseOption = None,
    theme: Annotated[
        str | None,
        typer.Option(
            "--theme", metavar="|".join(THEME_NAMES), show_default=False, help="Colours of the screen."
        ),
    ] = None,
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="Draw the screen without braille and box drawing.")
    ] = False,
    no_mouse: Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the sentence embedding that makes SONAR-LLM say a sentence next, and watch it happen.

    Without a verb the explorer opens; where there is no terminal, the published experiment runs and its table
    is printed.
    """
    context.obj = db
    screen = {"theme": theme, "ascii": ascii_only or None, "mouse": False if no_mouse else None}
    if context.invoked_subcommand is None:
        raise typer.Exit(cli.open_or_run_published({"database": db, **screen}))
    if context.invoked_subcommand == "replay":
        context.meta[SCREEN_FLAGS] = screen
        return
    for flag in (
        "--no-mouse" if name == "mouse" else f"--{name}"
        for name, value in screen.items()
        if value is not None
    ):
        raise UserError(f"{flag}: is for the screen, and {context.invoked_subcommand} opens none")


app.command("run")(run)
app.command("fork")(fork)
app.command("objectives")(objectives)
app.command("interpolate")(interpolate)
app.command("list")(list_runs)
app.command("show")(show)
app.add_typer(sessions, name="sessions")
app.command("search")(search_texts)
app.command("export")(export)
app.command("import")(import_)
app.command("compare")(compare)
app.command("gap")(gap)
app.command("replay")(replay)
app.command("nearest")(nearest)
app.command("pause")(pause)
app.command("resume")(resume)
app.command("stop")(stop)
app.command("step")(step)
app.command("set")(set_)
app.command("extend")(extend)
app.command("break")(break_)
app.command("verify")(verify)
app.add_typer(worker, name="worker")
app.add_typer(bundles, name="bundles")
app.command("config")(config)
app.command("doctor")(doctor)


def parse_and_do(arguments: Sequence[str]) -> int:
    """Parse one call's arguments, do what the verb says, and return the exit code."""
    command = get_command(app)
    make_readable(command)
    try:
        with command.make_context(cli.PROGRAM, list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as leaving:
        return leaving.exit_code
    except TyperException as error:
        return cli.complain(" ".join(error.format_message().replace("Value error, ", "").split()))
    return ExitCode.DONE
