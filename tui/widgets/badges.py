"""How the states of a run look: one sign and one colour each, the same everywhere."""

from dataclasses import dataclass

from engine.store.records import RunRecord, Status


@dataclass(frozen=True)
class Badge:
    """A sign of one cell, and the name of the tone that it is painted in."""

    sign: str
    tone: str
    """good, busy, warning, bad or quiet: suffix of a component class, and a theme colour."""


STATUS_BADGES = {
    Status.QUEUED: Badge("○", "quiet"),
    Status.LOADING: Badge("◌", "busy"),
    Status.RUNNING: Badge("●", "busy"),
    Status.PAUSED: Badge("◆", "warning"),
    Status.FINISHED: Badge("■", "quiet"),
    Status.STOPPED: Badge("□", "quiet"),
    Status.FAILED: Badge("✗", "bad"),
    Status.CRASHED: Badge("!", "bad"),
}

TONE_COLOURS = {
    "good": "$success",
    "busy": "$primary",
    "warning": "$warning",
    "bad": "$error",
    "quiet": "$text-muted",
}

MATCH = "✓"
NO_MATCH = "·"
DEGENERATE = "∞"
"""In place of NO_MATCH where the prediction hardly says anything but the same again."""


def match_sign(match: bool | None) -> str:
    """`✓` where the decoded prediction is the target, `·` where it is not, blank where none was made."""
    return " " if match is None else MATCH if match else NO_MATCH


def status_text(run: RunRecord) -> str:
    """The status in one word; a run that was typed in from a publication says so."""
    return str(run.status) if run.origin == "recorded" else run.origin
