"""The lines of the table of sessions: which are shown, in which order, and what stands in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich.cells import cell_len

from engine.store.records import SessionRecord, SessionSummary
from tui.circle import following
from tui.markdown_lines import markdown_lines
from tui.moments import moment_text
from tui.numbers import MISSING, loss_text, size_text
from tui.text import fit_text, safe_text
from tui.wrapping import Line, wrapped

_GAP = "  "
_MIN_NAME = 24
_MOST_TAGS = 24
_MIN_TAGS = 6
_UNKNOWN = "…"


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """A session, and what has been summed over all its rows so far."""

    summary: SessionSummary
    lowest_loss: float | None = None
    size_bytes: int | None = None
    """None: not known yet; the lowest loss neither."""


class SessionOrder(StrEnum):
    """Orders of the table; the value is what the title says."""

    ACTIVE = "last active first"
    LOSS = "by loss"
    MATCHES = "by matches"
    SIZE = "by size"
    NAME = "by name"

    @property
    def following(self) -> "SessionOrder":
        """The next one of the cycle."""
        return following(SessionOrder, self)


def in_order(rows: Iterable[SessionFigures], order: SessionOrder) -> list[SessionFigures]:
    """Sessions in an order; the last active of equals first."""
    by_date = sorted(rows, key=lambda row: (-row.summary.active, -row.summary.session.id))
    match order:
        case SessionOrder.ACTIVE:
            return by_date
        case SessionOrder.LOSS:
            return sorted(by_date, key=lambda row: (row.lowest_loss is None, row.lowest_loss or 0.0))
        case SessionOrder.MATCHES:
            return sorted(by_date, key=lambda row: -row.summary.matches)
        case SessionOrder.SIZE:
            return sorted(by_date, key=lambda row: -(row.size_bytes or 0))
        case SessionOrder.NAME:
            return sorted(by_date, key=lambda row: row.summary.session.name.casefold())


def passing(rows: Iterable[SessionFigures], words: str) -> list[SessionFigures]:
    """The sessions in whose name, tags or notes all words stand, whatever their case."""
    wanted = words.casefold().split()
    return [row for row in rows if all(word in _searched(row) for word in wanted)]


def session_header(width: int) -> Line:
    """What stands over the columns."""
    name, tags = _widths(width)
    line = f" {'session':<{name}}{_GAP}{'runs':>4}{_GAP}{'match':>5}{_GAP}{'loss':>9}{_GAP}{'size':>9}"
    return [(f"{line}{_GAP}{'active':<11}{_GAP if tags else ''}{'tags' if tags else ''}", "")]


def session_line(row: SessionFigures, width: int, now_s: float) -> Line:
    """The line of a session."""
    name, tags = _widths(width)
    session = row.summary.session
    is_known = row.size_bytes is not None
    loss = loss_text(row.lowest_loss) if is_known else _UNKNOWN
    size = size_text(row.size_bytes) if row.size_bytes is not None else _UNKNOWN
    matches = row.summary.matches
    shown = ("archived  " if session.archived else "") + ", ".join(session.tags)
    if tags:
        in_name: Line = [(fit_text(session.name, name), "quiet" if session.archived else "")]
    else:
        in_name = _name_and_tags(session, name)
    return [
        (" ", ""),
        *in_name,
        (f"{_GAP}{session.runs:>4}{_GAP}", "quiet"),
        (f"{matches or MISSING:>5}", "good" if matches else "quiet"),
        (f"{_GAP}{loss:>9}", ""),
        (f"{_GAP}{size:>9}{_GAP}{moment_text(row.summary.active, now_s):<11}", "quiet"),
        *([(_GAP, ""), (safe_text(shown, limit=tags), "quiet")] if tags else []),
    ]


def _name_and_tags(session: SessionRecord, width: int) -> Line:
    """Both in one column: what the name leaves is for as many of the tags."""
    title = ("(archived) " if session.archived else "") + session.name
    shown = safe_text(title, limit=width)
    room = width - cell_len(shown) - len(_GAP)
    tone = "quiet" if session.archived else ""
    if not session.tags or room < _MIN_TAGS:
        return [(fit_text(title, width), tone)]
    return [(shown, tone), (_GAP, ""), (fit_text(", ".join(session.tags), room), "quiet")]


def detail_lines(session: SessionRecord, width: int) -> list[Line]:
    """All of a session's tags, then its notes."""
    notes = markdown_lines(session.notes, width) if session.notes.strip() else []
    if not session.tags:
        return notes
    tags = wrapped([("tags  ", "quiet"), (safe_text(", ".join(session.tags)), "")], width)
    return [*tags, *([[], *notes] if notes else [])]


def _widths(width: int) -> tuple[int, int]:
    """Cells of the name and of the tags; 0: there is no room for them."""
    numbers = cell_len(f" {_GAP}0000{_GAP}00000{_GAP}000000000{_GAP}000000000{_GAP}00000000000")
    room = width - numbers
    tags = min(max(room - _MIN_NAME - len(_GAP), 0), _MOST_TAGS)
    if tags < 8:
        return max(room, 1), 0
    return room - tags - len(_GAP), tags


def _searched(row: SessionFigures) -> str:
    session = row.summary.session
    return "\n".join((session.name, *session.tags, session.notes)).casefold()
