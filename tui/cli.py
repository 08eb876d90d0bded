"""`sonar-explore`: no argument opens the app, a verb runs headless.

Only what every call needs is imported here: the app does not wait for the parser, nor a verb for the app.
"""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.errors import UserError
from tui import (
    settings,
    textual_settings,  # noqa: F401  # before anything imports Textual
)
from tui.exit_codes import ExitCode

if TYPE_CHECKING:
    from tui.replay import ReplayRequest

PROGRAM = "sonar-explore"


def main() -> None:
    """Entry point of the console script and of `python -m tui`."""
    sys.exit(call(sys.argv[1:]))


def call(arguments: Sequence[str]) -> int:
    """Carry out one call of the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a locale without `→`
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        return complain(str(error))
    except BrokenPipeError:
        _abandon_output()
        return ExitCode.DONE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except OSError as error:
        _abandon_output()
        return complain(f"{error.filename or 'output'}: {error.strerror or error}")


def complain(message: str) -> ExitCode:
    """Say on stderr, in one line, what was wrong with the input."""
    from tui.text import safe_text

    print(f"{PROGRAM}: {safe_text(message)}", file=sys.stderr)
    return ExitCode.BAD_INPUT


def open_or_run_published(flags: Mapping[str, object]) -> int:
    """Open the app on a terminal; without one, run the published experiment and print its table.

    Args:
        flags: Settings that the command line names (tui.settings.Settings); None where it does not.
    """
    effective = settings.load(flags)
    settings.hand_on(effective)
    if is_on_a_terminal():
        return open_app(effective.settings)
    from tui.published import run_published_experiment

    return run_published_experiment(effective.settings.database_path)


def is_on_a_terminal() -> bool:
    """Whether there is a screen to open the app on."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def open_app(chosen: settings.Settings, replay: "ReplayRequest | None" = None) -> int:
    """Open the app, with a run being replayed where that is asked for, until the user leaves it."""
    from tui.app import ExplorerApp
    from tui.view_state import ViewMemory

    database = chosen.database_path
    app = ExplorerApp(database, settings=chosen, memory=ViewMemory(database), replay=replay)
    gc.freeze()  # what is imported stays: to look through it again and again would hold up the screen
    app.run(mouse=chosen.mouse)
    return app.return_code or ExitCode.DONE


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments:
        return open_or_run_published({})
    from tui.verbs import parse_and_do

    return parse_and_do(arguments)


def _abandon_output() -> None:
    """Let the last flush go nowhere: whoever read the output has left, or it cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
