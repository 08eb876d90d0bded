"""What `sessions` and `search` print."""

import sys
import time
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console

from engine.export import json_line
from engine.store.reading import Reader
from engine.store.searching import TextHit
from tui.hit_text import excerpt
from tui.numbers import loss_text, size_text
from tui.session_rows import SessionFigures
from tui.text import fit_text, safe_text

_PIPED_WIDTH = 200
_LONGEST_NAME = 40
_GAP = "  "


def read_sessions(reader: Reader, *, with_archived: bool) -> list[SessionFigures]:
    """The sessions, oldest first."""
    losses: dict[int, list[float]] = {}
    sizes: dict[int, int] = {}
    summaries = reader.session_summaries(with_archived=with_archived)
    wanted = {summary.session.id for summary in summaries}
    for run, (session, _) in reader.newest_steps().items():
        if session in wanted:
            totals = reader.run_totals(run)
            sizes[session] = sizes.get(session, 0) + totals.size_bytes
            if totals.lowest_loss is not None:
                losses.setdefault(session, []).append(totals.lowest_loss)
    return [
        SessionFigures(
            summary, min(losses.get(summary.session.id, ()), default=None), sizes.get(summary.session.id, 0)
        )
        for summary in summaries
    ]


def print_sessions(rows: Sequence[SessionFigures]) -> None:
    """Print sessions as a table."""
    if not rows:
        print("No sessions yet: `sonar-explore run` makes the first.", file=sys.stderr)
        return
    names = [safe_text(row.summary.session.name, limit=_LONGEST_NAME) for row in rows]
    width = max(map(cell_len, ["session", *names]))
    figures = f"{'runs':>5}{'matched':>9}{'loss':>10}{'size':>10}"
    print(f"{'session':<{width}}{_GAP}{figures}{_GAP}{'active':<16}{_GAP}tags")
    for row, name in zip(rows, names, strict=True):
        session = row.summary.session
        tags = ", ".join(session.tags) + (" (archived)" if session.archived else "")
        line = (
            f"{fit_text(name, width)}{_GAP}{session.runs:>5}{row.summary.matches:>9}"
            f"{loss_text(row.lowest_loss):>10}{size_text(row.size_bytes or 0):>10}"
            f"{_GAP}{_minute(row.summary.active):<16}{_GAP}{safe_text(tags)}"
        )
        print(line.rstrip())


def print_session_objects(rows: Iterable[SessionFigures]) -> None:
    """Print one JSON object for each session. Times are Unix seconds."""
    for row in rows:
        session = row.summary.session
        print(
            json_line(
                {
                    "type": "session",
                    "session": session.name,
                    "runs": session.runs,
                    "matched": row.summary.matches,
                    "lowest_loss": row.lowest_loss,
                    "size_bytes": row.size_bytes,
                    "tags": list(session.tags),
                    "archived": session.archived,
                    "notes": session.notes,
                    "created": session.created,
                    "active": row.summary.active,
                }
            )
        )


def print_hits(hits: Sequence[TextHit]) -> None:
    """Print one line for each hit."""
    if not hits:
        print("no run ever decoded to that", file=sys.stderr)
        return
    width = Console().width if sys.stdout.isatty() else _PIPED_WIDTH
    homes = [safe_text(f"{hit.session}/{hit.number}", limit=_LONGEST_NAME) for hit in hits]
    home_width = max(map(cell_len, homes))
    for hit, home in zip(hits, homes, strict=True):
        head = f"{hit.run:>6}{_GAP}{fit_text(home, home_width)}{_GAP}step {hit.step:<7}{hit.kind:<11}"
        text = "".join(piece for piece, _ in excerpt(hit.text, hit.spans, max(width - cell_len(head), 20)))
        print(head + text)


def print_hit_objects(hits: Iterable[TextHit]) -> None:
    """Print one JSON object for each hit; `step` is the first row that has it."""
    for hit in hits:
        print(
            json_line(
                {
                    "type": "hit",
                    "run": hit.run,
                    "session": hit.session,
                    "number": hit.number,
                    "name": hit.name,
                    "kind": hit.kind,
                    "step": hit.step,
                    "texts": hit.texts,
                    "text": hit.text,
                    "spans": [list(span) for span in hit.spans],
                }
            )
        )


def _minute(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
