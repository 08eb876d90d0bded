"""What happened to a run: its events and its worker's log, followed live; and what failed, if it did."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from engine.store.records import EventRecord, RunRecord
from tui.actions import Place, bindings, unavailable, why_unavailable
from tui.event_text import event_text, event_tone
from tui.failure import error_lines, what_failed, what_to_do
from tui.log_watcher import LogRead, LogUnreadable, LogView, LogWatcher
from tui.moments import moment_text
from tui.text import safe_text
from tui.widgets.badges import STATUS_BADGES, TONE_COLOURS, status_text
from tui.widgets.log_view import LogLine, LogLines

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_FAILURE_EDGES = 5
"""Cells beside what failed: margins, rule and padding."""

_NAMED_KEYS = frozenset({"other_part", "line_up", "last_line", "try_again", "close"})


class LogScreen(Screen[bool]):
    """Returns whether the run is to go on."""

    app: "ExplorerApp"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.LOG)

    def __init__(self, database: Path, run: RunRecord) -> None:
        super().__init__()
        self._run = run
        self._view: LogView | None = None
        self._shows_log = False
        self._watcher = LogWatcher(database, run.id, self.post_message)

    def compose(self) -> ComposeResult:
        """Lay out the parts."""
        yield Static(id="log-title", markup=False)
        yield Static(id="failure", markup=False)
        yield LogLines(id="log")
        yield Static(id="log-keys", markup=False)

    def on_mount(self) -> None:
        """Start reading."""
        self._show_title()
        self.query_one("#failure").display = False
        self._watcher.start()

    async def on_unmount(self) -> None:
        """Stop reading."""
        await asyncio.to_thread(self._watcher.stop)

    @on(LogRead)
    def _show(self, message: LogRead) -> None:
        self._view, self._run = message.view, message.view.run
        self._show_title()
        self._show_failure(message.view)
        self._show_lines()

    @on(LogUnreadable)
    def _show_unreadable(self, message: LogUnreadable) -> None:
        self._lines.show([LogLine("", message.reason, "bad")], is_same=False)

    def action_other_part(self) -> None:
        """Show the worker's log instead of the events, or the other way round."""
        self._shows_log = not self._shows_log
        self._show_title()
        self._show_lines(is_same=False)

    def action_line_up(self) -> None:
        """Move up a line."""
        self._lines.move(-1)

    def action_line_down(self) -> None:
        """Move down a line."""
        self._lines.move(1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self._lines.move_page(-1)

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self._lines.move_page(1)

    def action_first_line(self) -> None:
        """Go to the first line."""
        self._lines.move_to_start()

    def action_last_line(self) -> None:
        """Go to the last line and follow."""
        self._lines.move_to_end()

    def action_try_again(self) -> None:
        """Close, and let the run go on."""
        if "resume" in unavailable(self._run):
            why = why_unavailable(self._run, self.app.keymap.keys(Place.EXPLORER))
            self.app.notify(safe_text(why), severity="error", markup=False)
        else:
            self.dismiss(True)

    def action_close(self) -> None:
        """Close."""
        self.dismiss(False)

    def _show_title(self) -> None:
        run, quiet = self._run, TONE_COLOURS["quiet"]
        badge = STATUS_BADGES[run.status]
        parts = ("events", f"log of the worker of {run.device}")
        shown = [
            (f" {safe_text(part)} ", "reverse" if is_shown else quiet)
            for part, is_shown in zip(parts, (not self._shows_log, self._shows_log), strict=True)
        ]
        title = Content.assemble(
            (safe_text(f"{run.session}/{run.number}", limit=24), "bold"),
            "  ",
            (f"{badge.sign} {status_text(run)}", TONE_COLOURS[badge.tone]),
            "  ",
            *shown,
        )
        bar = self.query_one("#log-title", Static)
        if title != bar.content:
            bar.update(title)
            names = _NAMED_KEYS - {"try_again"} if "resume" in unavailable(run) else _NAMED_KEYS
            self.query_one("#log-keys", Static).update(self.app.keymap.hints(Place.LOG, names))

    def _show_failure(self, view: LogView) -> None:
        box = self.query_one("#failure", Static)
        failed = what_failed(view.run)
        box.display = failed is not None
        if failed is None:
            return
        width = max(self.size.width - _FAILURE_EDGES, 10)
        key = self.app.keymap.keys(Place.LOG)["try_again"]
        lines = [
            Content.styled(safe_text(failed, limit=3 * width), TONE_COLOURS["bad"]),
            *(Content("  " + safe_text(line, limit=width - 2)) for line in error_lines(view.run, view.log)),
            Content.styled(what_to_do(view.run, {"resume": key}) or "", TONE_COLOURS["busy"]),
        ]
        content = Content("\n").join(lines)
        if content != box.content:
            box.update(content)

    def _show_lines(self, *, is_same: bool = True) -> None:
        view = self._view
        if view is None:
            return
        if not self._shows_log:
            now = time.time()
            self._lines.show([_event_line(event, now) for event in view.events], is_same=is_same)
        elif view.problem is not None:
            said = (f"No log can be read: {view.problem}", view.path.name, f"in {view.path.parent}")
            self._lines.show([LogLine("", line, "quiet") for line in said], is_same=False)
        else:
            lines = [LogLine("", line) for line in view.log]
            self._lines.show(lines, first=view.dropped, is_same=is_same)

    @property
    def _lines(self) -> LogLines:
        return self.query_one("#log", LogLines)


def _event_line(event: EventRecord, now_s: float) -> LogLine:
    step = "" if event.step is None else f"step {event.step}"
    head = f"{moment_text(event.time, now_s):<12} {step:<12} "
    who = f"  ({event.who})" if event.who not in ("", "worker") else ""
    return LogLine(head, event_text(event) + who, event_tone(event))
