"""Asks for the name under which the values of the form are kept."""

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui.actions import Place, bindings
from tui.presets import name_error
from tui.text import safe_text
from tui.widgets.field_editor import FieldEditor

if TYPE_CHECKING:
    from tui.app import ExplorerApp


class PresetNameScreen(ModalScreen[str | None]):
    """Returns the name, or None when it was closed."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.PRESET_NAME)

    def __init__(self, suggested: str, taken: Collection[str]) -> None:
        super().__init__()
        self._suggested = suggested
        self._taken = taken

    def compose(self) -> ComposeResult:
        """Lay out the line for the name."""
        with Vertical(id="preset-name") as box:
            box.border_title = "Save as a preset"
            box.border_subtitle = Content(self.app.keymap.hints(Place.PRESET_NAME))
            yield FieldEditor(Place.PRESET_NAME, id="name")
            yield Static(id="outcome", markup=False)

    def on_mount(self) -> None:
        """Begin with the name that is suggested."""
        self._editor.value = self._suggested
        self._editor.focus()
        self._check()

    @on(Input.Changed)
    def _check(self) -> None:
        name = self._editor.value.strip()
        reason = name_error(name) if name else None
        outcome = self.query_one("#outcome", Static)
        outcome.set_class(reason is not None, "-refused")
        said = f"takes the place of the preset {name}" if name in self._taken else "a name for these values"
        outcome.update(safe_text(reason or said))

    def action_save_name(self) -> None:
        """Return the name if it can be had."""
        name = self._editor.value.strip()
        if reason := name_error(name):
            outcome = self.query_one("#outcome", Static)
            outcome.set_class(True, "-refused")
            outcome.update(reason)
        else:
            self.dismiss(name)

    def action_close(self) -> None:
        """Save nothing."""
        self.dismiss(None)

    @property
    def _editor(self) -> FieldEditor:
        return self.query_one(FieldEditor)
