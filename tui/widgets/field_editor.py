"""The one live editor of a form: it stands over the value of the field that is being edited."""

import unicodedata
from typing import TYPE_CHECKING

from textual.widgets import Input

from tui.actions import Place

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_JOINERS = "\u200c\u200d"
"""Part of how Persian, Hindi and emoji are written; other characters of their category turn or hide text."""


class FieldEditor(Input):
    """A line of text in which nothing can be typed or pasted that a terminal would obey."""

    app: "ExplorerApp"

    def __init__(self, place: Place, *, id: str) -> None:
        """An editor.

        Args:
            place: Where it stands: the keys of that place do there what the registry says, not what Textual's
                line editor would do with them.
            id: Of the widget.
        """
        super().__init__(compact=True, select_on_focus=False, id=id)
        self._place = place

    def on_mount(self) -> None:
        """Leave to the place the keys that are its own."""
        for action in self.app.keymap.at(self._place):
            for key in action.keys.split(","):
                self._bindings.key_to_bindings.pop(key, None)

    def validate_value(self, value: str) -> str:
        """Put a space for each control character, and leave out what would turn or hide the text."""
        return typed_text(value)


def typed_text(text: str) -> str:
    """Text as it can be typed: without control characters, line breaks and directional marks."""
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif category not in ("Cf", "Cs") or character in _JOINERS:
            kept.append(character)
    return "".join(kept)
