"""The footer: the keys that matter, from the registry, in one line."""

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from tui.actions import Action, footer_actions
from tui.widgets.badges import TONE_COLOURS

_GAP = "  "
_ALWAYS = frozenset({"help", "leave"})
"""Named at every width: who knows these two finds the rest."""


class ActionBar(Widget):
    """Keys and what they do; those that the selected run rules out are dimmed."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._unavailable: frozenset[str] = frozenset()

    def dim(self, unavailable: frozenset[str]) -> None:
        """Dim the actions of these names."""
        if unavailable != self._unavailable:
            self._unavailable = unavailable
            self.refresh()

    def render(self) -> Content:
        """Paint the line."""
        return Content(_GAP).join(
            _hint(action, is_dim=action.name in self._unavailable)
            for action in fitting(list(footer_actions()), self.content_size.width)
        )


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
