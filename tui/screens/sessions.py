"""All sessions: sorted, narrowed down, named, described, put away, deleted, and looked into."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from tui.actions import Place, bindings
from tui.deletions import Deletable, Removed, Restored
from tui.requests import Control, Refused, Requests
from tui.screens.naming import NamingScreen, Values
from tui.screens.notes import NotesScreen
from tui.screens.search import RowPlace, SearchScreen
from tui.session_rows import (
    SessionFigures,
    SessionOrder,
    detail_lines,
    in_order,
    passing,
    session_header,
    session_line,
)
from tui.sessions_watcher import SessionsRead, SessionsUnreadable, SessionsWatcher
from tui.text import safe_text
from tui.widgets.line_table import LineTable
from tui.widgets.text_lines import TextLines
from tui.wrapping import Line, flowed

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_NAMED_KEYS = frozenset(
    {
        "open_session",
        "search",
        "filter",
        "sort",
        "rename",
        "edit_notes",
        "edit_tags",
        "archive",
        "show_archived",
        "delete",
        "undo",
        "close",
    }
)
_MOST_KEY_LINES = 2
"""Lines for the keys: enough for all of them at 80 columns."""


@dataclass(frozen=True)
class Destination:
    """Where the main screen is to go."""

    session: str | None = None
    place: RowPlace | None = None


class SessionFilter(Input):
    """The line in which the table is narrowed down; every change is taken up at once."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.SESSION_FILTER)

    class Left(Message):
        """The user goes back to the table."""

        def __init__(self, *, is_cleared: bool) -> None:
            super().__init__()
            self.is_cleared = is_cleared

    def __init__(self) -> None:
        super().__init__(placeholder="words in name, tags, notes", compact=True, id="session-filter")

    def action_keep_filter(self) -> None:
        """Go back to the table; the filter stays."""
        self.post_message(self.Left(is_cleared=False))

    def action_clear_filter(self) -> None:
        """Take the filter away."""
        self.post_message(self.Left(is_cleared=True))


class SessionsScreen(Screen[Destination | None]):
    """Returns where the main screen is to go; None: where it was."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.SESSIONS)

    def __init__(self, database: Path, requests: Requests, *, with_archived: bool) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self.with_archived = with_archived
        """Whether archived sessions are shown."""

        self._order = SessionOrder.ACTIVE
        self._filter = ""
        self._rows: Sequence[SessionFigures] = ()
        self._shown: Sequence[SessionFigures] = ()
        self._archived = 0
        self._watcher = SessionsWatcher(database, self.post_message, with_archived=with_archived)

    def compose(self) -> ComposeResult:
        """Lay out the table, tags and notes of the session under the cursor, and the keys."""
        yield Static(id="sessions-title", markup=False)
        yield LineTable(id="sessions")
        notes = TextLines(id="session-notes")
        notes.can_focus = False
        yield notes
        yield Static(id="sessions-keys", markup=False)

    def on_mount(self) -> None:
        """Start reading."""
        self.query_one("#session-notes").display = False
        self._watcher.start()

    def on_resize(self) -> None:
        """Name the keys that there is room for."""
        hints: list[Line] = [[(hint, "")] for hint in self.app.keymap.each_hint(Place.SESSIONS, _NAMED_KEYS)]
        lines = flowed(hints, max(self.size.width - 2, 1), 2)[:_MOST_KEY_LINES]
        shown = "\n".join("".join(piece for piece, _ in line) for line in lines)
        self.query_one("#sessions-keys", Static).update(shown)

    async def on_unmount(self) -> None:
        """Stop reading."""
        await asyncio.to_thread(self._watcher.stop)

    @on(SessionsRead)
    def _read(self, message: SessionsRead) -> None:
        self._rows, self._archived = message.rows, message.archived
        self._show()

    @on(SessionsUnreadable)
    def _unreadable(self, message: SessionsUnreadable) -> None:
        self._say(message.reason)

    # Looking

    def action_previous_session(self) -> None:
        """Move up."""
        self._table.move(-1)

    def action_next_session(self) -> None:
        """Move down."""
        self._table.move(1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self._table.move_page(-1)

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self._table.move_page(1)

    def action_first_session(self) -> None:
        """Go to the first line."""
        self._table.move_to(0)

    def action_last_session(self) -> None:
        """Go to the last line."""
        self._table.move_to(len(self._shown))

    def action_notes_up(self) -> None:
        """Scroll the notes up."""
        self.query_one("#session-notes", TextLines).scroll_up(animate=False)

    def action_notes_down(self) -> None:
        """Scroll the notes down."""
        self.query_one("#session-notes", TextLines).scroll_down(animate=False)

    def action_sort(self) -> None:
        """Put the sessions into the next order."""
        self._order = self._order.following
        self._show()

    def action_show_archived(self) -> None:
        """Show the archived sessions too, or hide them again."""
        self.with_archived = not self.with_archived
        self._watcher.show_archived(self.with_archived)
        self.app.explorer.show_archived(self.with_archived)
        self._show_title()

    async def action_filter(self) -> None:
        """Type what the sessions in the table must have."""
        if not self.query(SessionFilter):
            await self.mount(SessionFilter(), before="#sessions-keys")
        self.query_one(SessionFilter).focus()

    @on(Input.Changed, "#session-filter")
    def _filter_changed(self, message: Input.Changed) -> None:
        self._filter = message.value
        self._show()

    @on(SessionFilter.Left)
    async def _filter_left(self, message: SessionFilter.Left) -> None:
        if message.is_cleared or not self._filter.strip():
            self._filter = ""
            await self.query(SessionFilter).remove()
            self._show()
        self.set_focus(None)

    def action_search(self) -> None:
        """Look for a text that was decoded."""
        screen = SearchScreen(self._database, self._requests, with_archived=self.with_archived)
        self.app.push_screen(screen, self._go_to)

    def _go_to(self, place: RowPlace | None) -> None:
        if place is not None:
            self.dismiss(Destination(place=place))

    def action_open_session(self) -> None:
        """Show the session's runs on the main screen."""
        if row := self._current:
            self.dismiss(Destination(session=row.summary.session.name))

    @on(LineTable.Opened)
    def _open(self) -> None:
        self.action_open_session()

    async def action_close(self) -> None:
        """Take the filter away; without one, go back to where the main screen was."""
        if self._filter:
            await self._filter_left(SessionFilter.Left(is_cleared=True))
        else:
            self.dismiss(None)

    @on(LineTable.Moved)
    def _show_notes(self) -> None:
        box = self.query_one("#session-notes", TextLines)
        row = self._current
        session = row.summary.session if row else None
        box.display = session is not None and bool(session.tags or session.notes.strip())
        box.show(lambda width: [] if session is None else detail_lines(session, max(width, 1)))
        box.scroll_home(animate=False, force=True)

    # Changing

    def action_rename(self) -> None:
        """Ask for another name."""
        if row := self._current:
            session = row.summary.session

            def save(values: Values) -> None:
                from engine.store.sessions import rename_session

                rename_session(self._database, session.id, values["name"])

            fields = [("name", session.name)]
            self.app.push_screen(NamingScreen(f"Rename {session.name}", fields, self._requests, save))

    def action_edit_tags(self) -> None:
        """Ask for tags."""
        if row := self._current:
            session = row.summary.session

            def save(values: Values) -> None:
                from engine.store.sessions import set_tags

                set_tags(self._database, session.id, values["tags"].split(","))

            fields = [("tags", ", ".join(session.tags))]
            title = f"Tags of {session.name}"
            self.app.push_screen(
                NamingScreen(title, fields, self._requests, save, hint="with commas between them")
            )

    def action_edit_notes(self) -> None:
        """Open the notes in an editor."""
        if row := self._current:
            session = row.summary.session

            def save(notes: str) -> None:
                from engine.store.sessions import set_notes

                set_notes(self._database, session.id, notes)

            self.app.push_screen(NotesScreen(session.name, session.notes, self._requests, save))

    def action_archive(self) -> None:
        """Put the session away, or take it out again."""
        if row := self._current:
            session = row.summary.session

            def put_away() -> None:
                from engine.store.sessions import set_archived

                set_archived(self._database, session.id, not session.archived)

            self._change(put_away)
            key = self.app.keymap.keys(Place.SESSIONS)["show_archived"]
            done = "is out again" if session.archived else f"is archived; {key} shows such sessions"
            self.app.notify(f"{safe_text(session.name, limit=40)} {done}", markup=False)

    def action_delete(self) -> None:
        """Delete the session with its runs."""
        if row := self._current:
            session = row.summary.session
            self.app.explorer.deletions.delete(Deletable("session", session.id, session.name), self)

    def action_undo(self) -> None:
        """Bring back what was deleted last."""
        self.app.explorer.deletions.restore(self)

    @on(Removed)
    def _say_removed(self, message: Removed) -> None:
        self.app.explorer.say_removed(message.item, self.app.keymap.keys(Place.SESSIONS)["undo"])

    @on(Restored)
    def _say_restored(self, message: Restored) -> None:
        self.app.explorer.say_restored(message.item)

    @on(Refused)
    def _refused(self, message: Refused) -> None:
        self._say(message.reason)

    def _change(self, change: Callable[[], None]) -> None:
        def work(_: Control) -> None:
            change()

        self._requests.submit(self, work, Refused)

    # Parts

    def _show(self) -> None:
        self._shown = in_order(passing(self._rows, self._filter), self._order)
        rows, now = self._shown, time.time()

        def line(index: int, width: int) -> Line:
            return session_line(rows[index], width, now)

        self._table.show(
            rows,
            [row.summary.session.id for row in rows],
            line,
            header=session_header,
            placeholder="No session has that" if self._filter else "No sessions yet",
        )
        self._show_title()
        self._show_notes()

    def _show_title(self) -> None:
        count, total = len(self._shown), len(self._rows)
        number = f"{count} of {total}" if self._filter else str(total)
        hidden = f", {self._archived} archived" if self._archived else ""
        shown = (" shown" if self.with_archived else " hidden") if self._archived else ""
        shown_runs, runs = (
            sum(row.summary.session.runs for row in rows) for rows in (self._shown, self._rows)
        )
        of_runs = f"{shown_runs} of {runs}" if self._filter else str(runs)
        title = (
            f"{number} session{'' if total == 1 else 's'}{hidden}{shown}, "
            f"{of_runs} run{'' if runs == 1 else 's'}, {self._order}"
        )
        bar = self.query_one("#sessions-title", Static)
        if title != str(bar.content):
            bar.update(title)

    def _say(self, reason: str) -> None:
        self.app.notify(safe_text(reason), severity="error", markup=False)

    @property
    def _current(self) -> SessionFigures | None:
        index = self._table.cursor
        return None if index is None or index >= len(self._shown) else self._shown[index]

    @property
    def _table(self) -> LineTable:
        return self.query_one(LineTable)
