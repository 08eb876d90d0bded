"""The footer: the keys that matter, from the registry, in one line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from tui.actions import Action
from tui.widgets.badges import TONE_COLOURS

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_GAP = "  "
_ALWAYS = frozenset({"help", "leave"})
"""Named at every width: who knows these two finds the rest."""


class ActionBar(Widget):
    """Keys and what they do; those that the selected run rules out are dimmed."""

    app: "ExplorerApp"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._unavailable: frozenset[str] = frozenset()
        self._said = ""

    def dim(self, unavailable: frozenset[str]) -> None:
        """Dim the actions of these names."""
        if unavailable != self._unavailable:
            self._unavailable = unavailable
            self.refresh()

    def say(self, text: str) -> None:
        """Set what stands at the right end, for example that the line is slow; empty for nothing."""
        if text != self._said:
            self._said = text
            self.refresh()

    def render(self) -> Content:
        """Paint the line."""
        actions = [action for action in self.app.keymap.actions if action.footer]
        width = self.content_size.width
        room = width - len(self._said) - len(_GAP) if self._said else width
        hints = Content(_GAP).join(
            _hint(action, is_dim=action.name in self._unavailable) for action in fitting(actions, room)
        )
        if not self._said:
            return hints
        gap = " " * max(width - hints.cell_length - len(self._said), 1)
        return Content.assemble(hints, gap, (self._said, f"bold {TONE_COLOURS['warning']}"))


def fitting(actions: Sequence[Action], width: int) -> list[Action]:
    """The actions that fit, in order; the last ones give way first, help and leaving never."""
    kept = list(actions)
    while kept and len(_GAP.join(action.footer for action in kept)) > width:
        droppable = [action for action in kept if action.name not in _ALWAYS]
        if not droppable:
            break
        kept.remove(droppable[-1])
    return kept


def _hint(action: Action, *, is_dim: bool) -> Content:
    key, _, label = action.footer.partition(" ")
    quiet = TONE_COLOURS["quiet"]
    if is_dim:
        return Content.styled(f"{key} {label}", f"{quiet} dim")
    return Content.assemble((key, f"bold {TONE_COLOURS['busy']}"), (f" {label}", quiet))
