"""All keys, made from the registry of actions."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Place, at, bindings
from tui.widgets.badges import TONE_COLOURS

_KEY_CELLS = 9

_ABOUT = (
    "A run looks for a sentence embedding z that makes SONAR-LLM predict the target sentence next. "
    "Row k of the table is z before update k: its loss, the similarity of prediction and target, "
    "and what z and the prediction decode to. ✓: the decoded prediction is the target."
)


class HelpScreen(ModalScreen[None]):
    """One heading for each place, one line for each action."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.HELP)

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll(id="help"):
            yield Static(help_text())

    def action_close(self) -> None:
        """Close the help."""
        self.dismiss()


def help_text() -> Content:
    """The whole help."""
    lines: list[Content] = [Content(_ABOUT)]
    for place in Place:
        lines += [Content(""), Content.styled(str(place), "bold")]
        lines += [
            Content.assemble((action.shown_key.ljust(_KEY_CELLS), TONE_COLOURS["busy"]), action.help)
            for action in at(place)
        ]
    return Content("\n").join(lines)
