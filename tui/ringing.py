"""Which runs have news worth ringing for: one matches for the first time, or has ended by itself."""

from collections.abc import Iterable

from engine.store.records import RunRecord, Status
from tui.text import safe_text

_NEWS_CELLS = 120
_ENDS = (Status.FINISHED, Status.FAILED, Status.CRASHED)
"""Not stopped: that was the user."""


class Ringer:
    """Compares what runs were with what they are."""

    def __init__(self) -> None:
        self._heard: tuple[set[int], set[int]] | None = None
        """Ids of the runs that have ended, and of those that have matched, the last time."""

    def news(self, runs: Iterable[RunRecord]) -> list[str]:
        """One harmless line for each run that has news; what was so at the first call is none."""
        runs = tuple(runs)
        ended = {run.id for run in runs if run.status in _ENDS}
        matched = {run.id for run in runs if run.first_match_step is not None}
        before, self._heard = self._heard or (ended, matched), (ended, matched)
        new_ends, new_matches = ended - before[0], matched - before[1]
        if not new_ends and not new_matches:
            return []
        return [
            _line(run, _end(run) if run.id in new_ends else f"matches, first at step {run.first_match_step}")
            for run in runs
            if run.id in new_ends or run.id in new_matches
        ]


def _end(run: RunRecord) -> str:
    if run.status is Status.FINISHED:
        matches = ", and matches" if run.match else ""
        return f"finished after {run.steps} steps{matches}"
    return f"{run.status}: {run.error}" if run.error else str(run.status)


def _line(run: RunRecord, said: str) -> str:
    return safe_text(f"run {run.session}/{run.number} {said}", limit=_NEWS_CELLS)


def notification(line: str) -> str:
    """The terminal's bell, and OSC 9, which some terminals show as a notification of the desktop."""
    return f"\a\x1b]9;sonar-explore: {safe_text(line)}\a"
