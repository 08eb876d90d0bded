"""Why a run failed or crashed, out of its record and the worker's log, and what to do about it."""

import re
from collections.abc import Sequence

from engine.store.records import RunRecord, Status

MOST_LINES = 6
_REPORT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[\d+\] ")
"""How the lines begin that the worker writes about itself; all others are of errors and libraries."""

_ADVICE = {
    Status.FAILED: "r tries again from the last checkpoint; n starts a new run instead",
    Status.CRASHED: "r goes on from the last checkpoint; the worker is started again for it",
}


def what_failed(run: RunRecord) -> str | None:
    """What ended a run, in one line; None when nothing went wrong."""
    where = "" if run.last_step is None else f" at step {run.last_step}"
    if run.status is Status.FAILED:
        return f"failed{where}: {run.error or 'no reason was recorded'}"
    if run.status is Status.CRASHED:
        return f"crashed{where}: {run.error or 'the process of its worker is gone'}"
    return None


def what_to_do(run: RunRecord) -> str | None:
    """What to do about it, in one line."""
    return _ADVICE.get(run.status)


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
