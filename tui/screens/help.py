"""All keys, made from the registry of actions."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Place, bindings
from tui.keymap import Keymap
from tui.widgets.badges import TONE_COLOURS

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_KEY_CELLS = 9

_ABOUT = (
    "A run looks for a sentence embedding z that makes SONAR-LLM predict the target sentence next. "
    "Row k of the table is z before update k: its loss, the similarity of prediction and target, "
    "and what z and the prediction decode to. ✓: the decoded prediction is the target; "
    "∞: it says hardly anything but the same again."
)


class HelpScreen(ModalScreen[None]):
    """One heading for each place, one line for each action."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.HELP)

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll(id="help") as box:
            box.border_subtitle = Content(self.app.keymap.hints(Place.HELP))
            yield Static(help_text(self.app.keymap))

    def action_close(self) -> None:
        """Close the help."""
        self.dismiss()


def help_text(keymap: Keymap) -> Content:
    """The whole help, with the keys in force."""
    lines: list[Content] = [Content(_ABOUT)]
    for place in Place:
        lines += [Content(""), Content.styled(str(place), "bold")]
        lines += [
            Content.assemble((action.shown_key.ljust(_KEY_CELLS), TONE_COLOURS["busy"]), action.help)
            for action in keymap.at(place)
        ]
    return Content("\n").join(lines)
