"""The line in which a filter of the list of runs is typed."""

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Input

from tui.actions import Place, bindings

_PLACEHOLDER = "words, loss<0.2, match, status:…"


class FilterLine(Input):
    """One line; its pane takes up every change at once."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.FILTER)

    class Kept(Message):
        """The user goes back to the list."""

    class Cleared(Message):
        """The user wants to see all runs again."""

    def __init__(self, text: str) -> None:
        super().__init__(text, placeholder=_PLACEHOLDER, compact=True, select_on_focus=False, id="filter")

    def action_keep_filter(self) -> None:
        """Go back to the list; the filter stays."""
        self.post_message(self.Kept())

    def action_clear_filter(self) -> None:
        """Take the filter away."""
        self.post_message(self.Cleared())
