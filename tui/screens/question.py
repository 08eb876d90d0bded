"""A question with yes and no."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Place, bindings
from tui.text import safe_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp


class QuestionScreen(ModalScreen[bool]):
    """Returns whether the user said yes."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.QUESTION)

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = safe_text(question)

    def compose(self) -> ComposeResult:
        """Lay out the question and the two answers."""
        with Vertical(id="question") as box:
            box.border_subtitle = Content(self.app.keymap.hints(Place.QUESTION))
            yield Static(self._question, markup=False)

    def action_confirm(self) -> None:
        """Yes."""
        self.dismiss(True)

    def action_decline(self) -> None:
        """No."""
        self.dismiss(False)
