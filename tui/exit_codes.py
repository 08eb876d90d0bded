"""Exit codes of the command line: a contract."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a call ended with."""

    DONE = 0
    """Done; also when the reader of a pipe has left."""

    FAILED = 1
    """The run failed or crashed, no worker answered, or `doctor` found something broken."""

    BAD_INPUT = 2
    """Bad arguments or data, with one line on stderr that says what and where."""

    INTERRUPTED = 130
    """Ctrl-C: the run that was followed goes on. It is not done, so a script's `&&` stops here."""
