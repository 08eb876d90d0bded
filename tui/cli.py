"""`sonar-explore`: no argument opens the app, a verb runs headless.

Only what every call needs is imported here: the app does not wait for the parser, nor a verb for the app.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from engine.errors import UserError
from tui import (
    settings,
    textual_settings,  # noqa: F401  # before anything imports Textual
)
from tui.exit_codes import ExitCode

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
    database = effective.settings.database_path
    if sys.stdin.isatty() and sys.stdout.isatty():
        from tui.app import ExplorerApp
        from tui.view_state import ViewMemory

        app = ExplorerApp(database, settings=effective.settings, memory=ViewMemory(database))
        app.run(mouse=effective.settings.mouse)
        return app.return_code or ExitCode.DONE
    from tui.published import run_published_experiment

    return run_published_experiment(database)


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments:
        return open_or_run_published({})
    from tui.verbs import parse_and_do

    return parse_and_do(arguments)


def _abandon_output() -> None:
    """Let the last flush go nowhere: whoever read the output has left, or it cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
