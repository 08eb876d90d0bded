"""Which runs have news worth ringing for: one matches for the first time, or has ended by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.store.records import RunRecord, Status
from tui.text import safe_text

_NEWS_CELLS = 120
_ENDS = (Status.FINISHED, Status.FAILED, Status.CRASHED)
"""Not stopped: that was the user."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What has been told of a run."""

    has_matched: bool
    has_ended: bool


class Ringer:
    """Compares what runs were with what they are."""

    def __init__(self) -> None:
        self._heard: dict[int, _Heard] | None = None

    def news(self, runs: Iterable[RunRecord]) -> list[str]:
        """One harmless line for each run that has news; what was so at the first call is none."""
        is_first, before = self._heard is None, self._heard or {}
        self._heard = {}
        lines = []
        for run in runs:
            now = _Heard(run.first_match_step is not None, run.status in _ENDS)
            self._heard[run.id] = now
            known = before.get(run.id, now if is_first else _Heard(has_matched=False, has_ended=False))
            if now.has_ended and not known.has_ended:
                lines.append(_line(run, _end(run)))
            elif now.has_matched and not known.has_matched:
                lines.append(_line(run, f"matches, first at step {run.first_match_step}"))
        return lines


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
