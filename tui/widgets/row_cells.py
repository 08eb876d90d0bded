"""What stands in the cells of the trajectory table: of its header, of steps, of events."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from engine.measures import is_degenerate
from engine.store.records import EventRecord, StepRecord
from tui.event_text import event_tone, text_in_place
from tui.numbers import (
    MISSING,
    NOT_FINITE,
    loss_text,
    lr_text,
    measure_text,
    norm_text,
    similarity_text,
)
from tui.text import safe_text
from tui.text_cell import text_cell
from tui.widgets.badges import DEGENERATE, match_sign
from tui.widgets.columns import GAP, MEASURE_KEY, TERM_KEY, Column, Difference

_BEFORE_EVENT = "── "


@dataclass(frozen=True)
class StepLine:
    """A step, or steps that are folded into one line."""

    newest: StepRecord
    first_step: int
    count: int
    decoded: StepRecord | None
    """The newest one of them that was decoded."""

    previous: StepRecord | None
    """The decoded step before them."""


@dataclass(frozen=True)
class RowCells:
    """Makes the segments of lines that fit under one another."""

    columns: tuple[Column, ...]
    difference: Difference
    target: str
    tone: Callable[[str], Style]
    """The style of a tone, by its name."""

    def header(self) -> str:
        """The titles of the columns."""
        return (" " * GAP).join(
            column.title[: column.width].rjust(column.width)
            if column.is_number
            else column.title[: column.width].ljust(column.width)
            for column in self.columns
        )

    def step(self, line: StepLine) -> list[Segment]:
        """Numbers and texts of a step."""
        newest, decoded, previous = line.newest, line.decoded, line.previous
        quiet, plain = self.tone("quiet"), Style.null()
        match = decoded.match if decoded else None
        good = self.tone("good") if match else plain
        steps = str(newest.step) if line.count == 1 else f"{line.first_step}–{newest.step}"
        numbers = {
            "step": (steps, quiet),
            "loss": (NOT_FINITE, self.tone("bad"))
            if newest.loss is None
            else (loss_text(newest.loss), plain),
            "similarity": (similarity_text(newest.similarity), plain),
            "lr": ("" if newest.lr is None else lr_text(newest.lr), quiet),
            "z_norm": (norm_text(newest.z_norm), quiet),
        }
        texts = {
            "prediction": (decoded and decoded.decoded_prediction, previous and previous.decoded_prediction),
            "z": (decoded and decoded.decoded_z, previous and previous.decoded_z),
        }
        segments = []
        for column in self.columns:
            if column.key in texts:
                style = good if column.key == "prediction" else quiet
                behind = f" ×{line.count}" if column.key == "prediction" and line.count > 1 else ""
                segments += self._text(*texts[column.key], column.width, style, behind)
            elif column.key == "match":
                sign, style = match_sign(match), good if match else quiet
                if decoded and not match and is_degenerate(decoded.decoded_prediction or ""):
                    sign, style = DEGENERATE, self.tone("warning")
                segments.append(Segment(sign + " " * GAP, style))
            else:
                if column.key.startswith(TERM_KEY):
                    text, style = loss_text(newest.terms.get(column.key.removeprefix(TERM_KEY))), quiet
                elif column.key.startswith(MEASURE_KEY):
                    name = column.key.removeprefix(MEASURE_KEY)
                    text = measure_text(decoded.measures.get(name)) if decoded and decoded.measures else ""
                    style = quiet
                else:
                    text, style = numbers[column.key]
                # A missing or unending number still takes its column's cells and no more.
                text = text.rjust(column.width) if len(text) <= column.width else MISSING.rjust(column.width)
                segments.append(Segment(text + " " * GAP, plain if text.isspace() else style))
        return segments

    def unread(self, step: int) -> list[Segment]:
        """A step of which only the number is known so far."""
        column = self.columns[0]
        return [Segment(f"{step:>{column.width}}{' ' * GAP}…", self.tone("quiet"))]

    def event(self, event: EventRecord, width: int) -> list[Segment]:
        """An event in a rule of `width` cells, which begins where the texts of steps do."""
        quiet = self.tone("quiet")
        lead = " " * (self.columns[0].width + GAP)
        room = width - len(lead)
        edges = len(_BEFORE_EVENT) + 1
        text = safe_text(text_in_place(event), limit=max(room - edges - GAP, 1))
        rule = "─" * max(room - edges - cell_len(text), 0)
        return [
            Segment(lead),
            Segment(_BEFORE_EVENT, quiet),
            Segment(text, self.tone(event_tone(event))),
            Segment(" " + rule, quiet),
        ]

    def _text(
        self, text: str | None, previous: str | None, width: int, style: Style, behind: str
    ) -> list[Segment]:
        """A text in its column, the words that differ marked, something short behind it."""
        compared = {Difference.PREVIOUS: previous, Difference.TARGET: self.target, Difference.OFF: None}
        behind = behind[:width]
        segments = [
            Segment(piece, style + self.tone("changed") if tone else style)
            for piece, tone in text_cell(text or "", compared[self.difference], width - len(behind))
        ]
        if behind:
            segments.append(Segment(behind, self.tone("quiet")))
        used = sum(segment.cell_length for segment in segments)
        return [*segments, Segment(" " * (width - used + GAP))]
