"""Asks for names and tags, which what saves them checks."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from tui.actions import Place, bindings
from tui.requests import Control, Refused, Requests
from tui.text import safe_text
from tui.widgets.field_editor import FieldEditor

if TYPE_CHECKING:
    from tui.app import ExplorerApp

Values = Mapping[str, str]
"""What stands in the fields, by their labels."""


class Saved(Message):
    """What was typed is in the database."""


class NamingScreen(ModalScreen[bool]):
    """Returns whether something was saved; what is refused stays to be mended."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.NAMING)

    def __init__(
        self,
        title: str,
        fields: Sequence[tuple[str, str]],
        requests: Requests,
        save: Callable[[Values], None],
        *,
        hint: str = "",
    ) -> None:
        """A dialog.

        Args:
            title: What it is about.
            fields: Labels, and what stands beside them at first.
            requests: The thread that saves.
            save: Called there with what was typed.
            hint: One line on what can be typed.
        """
        super().__init__()
        self._title = title
        self._fields = dict(fields)
        self._requests = requests
        self._save = save
        self._hint = hint

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        with Vertical(id="naming") as box:
            box.border_title = Content(safe_text(self._title, limit=60))
            names = {"save", "close"} | ({"next_field"} if len(self._fields) > 1 else set())
            box.border_subtitle = Content(self.app.keymap.hints(Place.NAMING, names))
            for number, label in enumerate(self._fields):
                with Horizontal(classes="field"):
                    yield Label(label, markup=False, classes="label")
                    yield FieldEditor(Place.NAMING, id=f"field-{number}")
            yield Static(safe_text(self._hint), markup=False, id="outcome")

    def on_mount(self) -> None:
        """Begin with what there is."""
        for editor, value in zip(self.query(FieldEditor), self._fields.values(), strict=True):
            editor.value = value
        self.query(FieldEditor).first().focus()

    def action_save(self) -> None:
        """Save; close once that is done."""
        editors = self.query(FieldEditor)
        values = {label: editor.value for label, editor in zip(self._fields, editors, strict=True)}

        def save(_: Control) -> Message:
            self._save(values)
            return Saved()

        self._requests.submit(self, save, Refused)

    def action_close(self) -> None:
        """Save nothing."""
        self.dismiss(False)

    def action_next_field(self) -> None:
        """Move to the field below."""
        self.focus_next(FieldEditor)

    def action_previous_field(self) -> None:
        """Move to the field above."""
        self.focus_previous(FieldEditor)

    @on(Saved)
    def _close_saved(self) -> None:
        self.dismiss(True)

    @on(Refused)
    def _say_why_not(self, message: Refused) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.set_class(True, "-refused")
        outcome.update(safe_text(message.reason))
