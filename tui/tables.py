"""Trajectories as aligned lines of text, for a terminal and for a pipe."""

from rich.cells import cell_len

from engine.export import short_number
from engine.store.records import EventRecord, RunRecord, StepRecord
from tui.text import fit_text, safe_text

_GAP = "  "
_NUMBERS_WIDTH = 36
_LEAST_TEXT_WIDTH = 12
_PIPED_PREDICTION_WIDTH = 56


class TrajectoryLines:
    """The lines of one trajectory table: step, loss, similarity, match and the two decoded texts."""

    def __init__(self, width: int | None) -> None:
        """Fit the lines into this many terminal cells; None: into a pipe, where no text is cut."""
        self._prediction_width: int | None = None
        self._z_width: int | None = None
        if width is not None:
            texts = max(width - _NUMBERS_WIDTH, _LEAST_TEXT_WIDTH)
            self._prediction_width = (texts + 1) // 2
            self._z_width = texts - self._prediction_width - len(_GAP)

    @property
    def header(self) -> str:
        """The line above the rows."""
        return self._line("step", "loss", "sim", "match", "decoded prediction", "decoded z")

    def row(self, step: StepRecord) -> str:
        """One row; a text that was not decoded leaves its place empty."""
        match = "" if step.match is None else "yes" if step.match else "no"
        loss, similarity = short_number(step.loss), short_number(step.similarity)
        return self._line(
            str(step.step), loss, similarity, match, step.decoded_prediction or "", step.decoded_z or ""
        )

    def _line(self, step: str, loss: str, similarity: str, match: str, prediction: str, z: str) -> str:
        numbers = f"{step:>8}{loss:>10}{similarity:>8}  {match:<5}"
        if self._prediction_width is None or self._z_width is None:
            shown = safe_text(prediction)
            padding = " " * (_PIPED_PREDICTION_WIDTH - cell_len(shown))
            texts = f"{shown}{padding}{_GAP}{safe_text(z)}"
        else:
            texts = f"{fit_text(prediction, self._prediction_width)}{_GAP}{safe_text(z, limit=self._z_width)}"
        return f"{numbers}   {texts}".rstrip()


def match_line(run: RunRecord) -> str:
    """Whether the newest decoded prediction is the target, and since when there has been a match."""
    if run.first_match_step is None:
        return "no match"
    return f"{'match' if run.match else 'match lost'}, first at step {run.first_match_step}"


def event_line(event: EventRecord) -> str:
    """An event as a line between the rows: `lr 0.01 → 0.005 from step 42`."""
    says_where = event.step is None or "at step " in event.detail
    where = "" if says_where else f" {_PREPOSITIONS.get(event.kind, 'at')} step {event.step}"
    detail = f" {safe_text(event.detail)}" if event.detail else ""
    return f"{safe_text(event.kind)}{detail}{where}"


_PREPOSITIONS = {"lr": "from", "weight": "from"}
