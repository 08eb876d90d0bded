"""The notes of a session in an editor."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static, TextArea
from textual.widgets.text_area import Edit, EditResult

from tui.actions import Place, bindings
from tui.requests import Control, Refused, Requests
from tui.text import safe_text
from tui.widgets.field_editor import typed_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp


class NotesSaved(Message):
    """The notes are in the database."""


class NotesEditor(TextArea):
    """An editor into which nothing comes that a terminal would obey."""

    def __init__(self, text: str) -> None:
        super().__init__(_harmless(text), soft_wrap=True, show_line_numbers=False, id="notes-editor")
        self.cursor_blink = False

    def edit(self, edit: Edit) -> EditResult:
        """Carry out an edit, with what may be typed of its text."""
        edit.text = _harmless(edit.text)
        return super().edit(edit)


class NotesScreen(Screen[bool]):
    """Returns whether something was saved."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.NOTES)

    def __init__(self, title: str, notes: str, requests: Requests, save: Callable[[str], None]) -> None:
        """An editor.

        Args:
            title: Name of the session.
            notes: Its notes.
            requests: The thread that saves.
            save: Called there with the new notes.
        """
        super().__init__()
        self._title = title
        self._notes = _harmless(notes)
        self._requests = requests
        self._save = save
        self._may_be_dropped = False

    def compose(self) -> ComposeResult:
        """Lay out the editor."""
        with Vertical(id="notes-box") as box:
            box.border_title = Content(safe_text(f"Notes on {self._title}", limit=60))
            box.border_subtitle = Content(self.app.keymap.hints(Place.NOTES))
            yield NotesEditor(self._notes)
            yield Static("Markdown: # heading, - list, **strong**, *emphasis*, `code`", id="outcome")

    def on_mount(self) -> None:
        """Begin at the end."""
        self._editor.focus()
        self._editor.move_cursor(self._editor.document.end)

    def action_save(self) -> None:
        """Save; close once that is done."""
        notes = self._editor.text

        def save(_: Control) -> Message:
            self._save(notes)
            return NotesSaved()

        self._requests.submit(self, save, Refused)

    def action_close(self) -> None:
        """Close; what was typed and not saved is dropped only when the key is pressed again."""
        if self._editor.text == self._notes or self._may_be_dropped:
            self.dismiss(False)
            return
        self._may_be_dropped = True
        keys = self.app.keymap.keys(Place.NOTES)
        self._say(f"The notes have changed: {keys['save']} saves, {keys['close']} again drops the changes")

    @on(TextArea.Changed)
    def _keep(self) -> None:
        self._may_be_dropped = False

    @on(NotesSaved)
    def _close_saved(self) -> None:
        self.dismiss(True)

    @on(Refused)
    def _say_why_not(self, message: Refused) -> None:
        self._say(message.reason)

    def _say(self, text: str) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.set_class(True, "-refused")
        outcome.update(Content(safe_text(text)))

    @property
    def _editor(self) -> NotesEditor:
        return self.query_one(NotesEditor)


def _harmless(text: str) -> str:
    return "\n".join(typed_text(line) for line in text.splitlines()) + ("\n" if text.endswith("\n") else "")
