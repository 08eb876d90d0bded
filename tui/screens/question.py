"""A question with yes and no."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Place, bindings
from tui.text import safe_text


class QuestionScreen(ModalScreen[bool]):
    """Returns whether the user said yes."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.QUESTION)

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = safe_text(question)

    def compose(self) -> ComposeResult:
        """Lay out the question and the two answers."""
        with Vertical(id="question"):
            yield Static(self._question, markup=False)
            yield Static("y yes   n no", markup=False, classes="keys")

    def action_confirm(self) -> None:
        """Yes."""
        self.dismiss(True)

    def action_decline(self) -> None:
        """No."""
        self.dismiss(False)
