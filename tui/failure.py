"""Why a run has stopped going on, out of its record and the worker's log, and what to do about it."""

import re
from collections.abc import Mapping, Sequence

from engine.store.records import RunRecord, Status

MOST_LINES = 6
_REPORT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[\d+\] ")
"""How the lines begin that the worker writes about itself; all others are of errors and libraries."""

_ADVICE = {
    Status.PAUSED: ("toggle_pause", "goes on"),
    Status.STOPPED: ("resume", "goes on from where it was stopped"),
    Status.FAILED: ("resume", "tries again from the last checkpoint"),
    Status.CRASHED: ("resume", "goes on from the last checkpoint"),
}
"""Name of the action whose key helps, and what that key does."""
_WITHOUT_ROWS = "tries again"
"""What the key does for a run that failed or crashed before its first row: there is nothing to go on from."""


def reason(run: RunRecord) -> str | None:
    """Why a run failed or crashed; None when nothing went wrong."""
    if run.status is Status.FAILED:
        return run.error or "no reason was recorded"
    if run.status is Status.CRASHED:
        return run.error or "the worker is gone"
    return None


def what_failed(run: RunRecord) -> str | None:
    """What ended a run and where, in one line; None when nothing went wrong."""
    why = reason(run)
    where = "" if run.last_step is None else f" at step {run.last_step}"
    return None if why is None else f"{run.status}{where}: {why}"


def what_to_do(run: RunRecord, keys: Mapping[str, str]) -> str | None:
    """What lets a run go on, in one line; None where nothing keeps it from doing so, or nothing helps.

    Args:
        run: The run.
        keys: What is written for the keys of the actions `toggle_pause` and `resume`, by their names.
    """
    if run.status not in _ADVICE:
        return None
    action, words = _ADVICE[run.status]
    if run.last_step is None and reason(run):
        words = _WITHOUT_ROWS
    return f"{keys[action]} {words}"


def error_lines(run: RunRecord, log: Sequence[str]) -> list[str]:
    """The last lines of the error that ended a run, out of the log; none when it left nothing there.

    Args:
        run: The run.
        log: Lines of its worker's log, oldest first.
    """
    if run.status is Status.FAILED:
        end = _newest(log, f"run {run.id}: failed: ")
        if end is None:
            return []
    elif run.status is Status.CRASHED:
        # The next worker notes what it found; before that, the log ends as the process did.
        end = _newest(log, f"run {run.id}: its worker is gone")
        end = len(log) if end is None else end
    else:
        return []
    begin = end
    while begin > 0 and not _REPORT.match(log[begin - 1]):
        begin -= 1
    block = [line.rstrip() for line in log[begin:end] if line.strip()]
    if not block and run.status is Status.CRASHED:
        block = [line.rstrip() for line in log[:end] if line.strip()]
    return block[-MOST_LINES:]


def _newest(log: Sequence[str], words: str) -> int | None:
    for index in range(len(log) - 1, -1, -1):
        if words in log[index] and _REPORT.match(log[index]):
            return index
    return None
