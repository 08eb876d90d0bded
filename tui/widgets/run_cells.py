"""What stands on the lines of the list of runs: the head of a session, and the two lines of a run."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from engine.store.records import RunRecord
from tui.numbers import MISSING, NOT_FINITE, loss_text, similarity_text
from tui.run_tree import RunLine, SessionLine
from tui.sparkline import sparkline
from tui.text import fit_text, safe_text
from tui.widgets.badges import STATUS_BADGES, match_sign, status_text

_MIN_TITLE = 12
"""Cells that a title keeps before the status is put into words beside its sign."""

_MIN_CURVE = 8
"""Cells that the sparkline keeps before the similarity gets its own."""

_OPEN, _CLOSED = "▾", "▸"


@dataclass(frozen=True)
class RunCells:
    """Makes the segments of lines that fit into a width."""

    tone: Callable[[str], Style]
    """The style of a tone, by its name."""

    is_ranking: bool
    """The runs stand in one list over all sessions, so that each has to name its own."""

    mark: Callable[[int], str] = lambda run: ""
    """The letter of a marked run, by its id; empty where it is not marked."""

    def session(self, line: SessionLine, width: int) -> list[Segment]:
        """The head of a session."""
        sign = _OPEN if line.is_open else _CLOSED
        count = f" {line.runs} "
        name = fit_text(line.name, max(width - 3 - len(count), 0))
        return [
            Segment(f" {sign} "),
            Segment(name, self.tone("session")),
            Segment(count, self.tone("quiet")),
        ]

    def title(self, line: RunLine, width: int) -> list[Segment]:
        """The first line of a run: where it stands in the tree, its status, what it is called."""
        record = line.run.record
        badge = STATUS_BADGES[record.status]
        tone, quiet = self.tone(badge.tone), self.tone("quiet")
        number = f"{record.number} "
        if self.is_ranking:
            number = safe_text(record.session, limit=max(width // 2 - len(number), 1)) + "/" + number
        number += line.origin + " " * bool(line.origin)
        room = width - 4 - len(line.guides) - cell_len(number)
        status = " " + status_text(record)
        if room - len(status) < min(cell_len(_name(record)), _MIN_TITLE):  # the sign alone tells it too
            status = ""
        name = fit_text(_name(record), max(room - len(status), 0))
        return [
            Segment(self.mark(record.id) or " ", self.tone("mark")),
            Segment(line.guides, quiet),
            Segment(badge.sign, tone),
            Segment(" " + number, Style.null() if record.name is None else quiet),
            Segment(name, quiet if record.name is None else Style.null()),
            Segment(status, tone),
            Segment(" "),
        ]

    def figures(self, line: RunLine, width: int) -> list[Segment]:
        """The second line of a run: its losses as a curve, and its newest figures."""
        record = line.run.record
        has_steps = record.last_step is not None
        loss = MISSING if not has_steps else NOT_FINITE if record.loss is None else loss_text(record.loss)
        lead = " " + line.guides_below + ("│ " if line.has_forks else "  ")
        room = max(width - len(lead) - len(loss) - 4, 0)
        similarity = similarity_text(record.similarity) if has_steps else ""
        if similarity and room - len(similarity) - 1 >= _MIN_CURVE:
            room -= len(similarity) + 1
            similarity = " " + similarity
        else:
            similarity = ""
        return [
            Segment(lead, self.tone("quiet")),
            Segment(sparkline(line.run.curve, room).ljust(room), self.tone("curve")),
            Segment(" "),
            Segment(loss, self.tone("bad") if loss == NOT_FINITE else Style.null()),
            Segment(similarity, self.tone("quiet")),
            Segment(" "),
            Segment(match_sign(record.match), self.tone("good" if record.match else "quiet")),
            Segment(" "),
        ]


def _name(record: RunRecord) -> str:
    """What tells a run apart from its neighbours: its name, or else what it is after."""
    return record.name or record.target_text
