"""The keys in force: those of the registry, except where the user has set others."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character

from engine.errors import UserError
from tui.actions import ACTIONS, Action, Place, binding_id

_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
_NAMED = frozenset(key.value for key in Keys if "+" not in key.value and "<" not in key.value)
_LEAVING = frozenset({"ctrl+c", "ctrl+q"})
"""These leave from anywhere, whatever else is set."""

_AROUND = {
    Place.RUNS: Place.EXPLORER,
    Place.TABLE: Place.EXPLORER,
    Place.BREAK_POINTS: Place.DIALOG,
    Place.CHOICE: Place.FORM,
}
"""Where both places' keys work, and the inner one's win."""


class Keymap:
    """The registry with the user's keys in it."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Put keys in place.

        Args:
            keys: One or several keys with commas between them, by `NAME` or `PLACE.NAME` of an action.

        Raises:
            UserError: one line; an action or key that there is not, or two actions on one key.
        """
        chosen = {_find(name): _Keys(name, text) for name, text in keys.items()}
        self.bindings = {binding_id(action): given.names for action, given in chosen.items()}
        """Textual's keys, by the id of the binding."""

        self.actions = tuple(
            replace(action, keys=chosen[action].names, shown_key=chosen[action].shown)
            if action in chosen
            else action
            for action in ACTIONS
        )
        _check_clashes(self.actions, {(action.place, action.name) for action in chosen})
        footers = _shown_in_footers(chosen)
        self.actions = tuple(
            replace(action, footer=footers.get((action.place, action.name), action.footer))
            for action in self.actions
        )

    def at(self, place: Place) -> list[Action]:
        """The actions of a place, in the order of the registry."""
        return [action for action in self.actions if action.place is place]

    def keys(self, place: Place) -> dict[str, str]:
        """The key of each action of a place, as it is written for people."""
        return {action.name: action.shown_key for action in self.at(place)}

    def hints(self, place: Place, names: Collection[str] | None = None) -> str:
        """Keys and labels in one line, `y yes  n no`: of some of a place's actions; None: of all of them."""
        return "  ".join(self.each_hint(place, names))

    def each_hint(self, place: Place, names: Collection[str] | None = None) -> list[str]:
        """The parts of that line."""
        actions = (action for action in self.at(place) if names is None or action.name in names)
        return [f"{action.shown_key} {action.label}" for action in actions]

    def joint_hints(self, place: Place, groups: Iterable[tuple[Sequence[str], str]]) -> str:
        """The same where several keys share a word, `↑/↓ move`: names of actions, and the word."""
        keys = self.keys(place)
        return "  ".join(f"{'/'.join(keys[name] for name in names)} {word}" for names, word in groups)


class _Keys:
    """What the user wrote for one action."""

    def __init__(self, action: str, text: str) -> None:
        written = [key.strip() for key in text.split(",")]
        if not all(written):
            raise UserError(f"{action}: {text!r}: should be keys with commas between; a comma is `comma`")
        self.names = ",".join(_key_name(action, key) for key in written)
        self.shown = written[0]


def _find(name: str) -> Action:
    place, dot, plain = name.rpartition(".")
    found = [
        action
        for action in ACTIONS
        if action.name == plain and (not dot or action.place.name.lower() == place)
    ]
    if not found:
        raise UserError(f"{name}: is no action; `sonar-explore config --keys` lists them")
    if len(found) > 1:
        names = ", ".join(f"{action.place.name.lower()}.{plain}" for action in found)
        raise UserError(f"{name}: is the name of several actions: {names}")
    return found[0]


def _key_name(action: str, key: str) -> str:
    """Textual's name of a key that was written as people write it: `?` or `ctrl+x`, `question_mark` too."""
    modifiers, _, base = key.rpartition("+") if len(key) > 1 else ("", "", key)
    if not base and modifiers.endswith("+"):  # `ctrl++`
        modifiers, base = modifiers[:-1], "+"
    known = set(modifiers.split("+")) <= _MODIFIERS if modifiers else True
    if len(base) == 1 and base.isprintable() and not base.isspace():
        base = base if base.isalnum() else _name_of(base)
    elif base not in {*_NAMED, *KEY_NAME_REPLACEMENTS.values()} and key_to_character(base) is None:
        known = False
    name = f"{modifiers}+{base}" if modifiers else base
    if not known:
        raise UserError(f"{action}: {key!r}: is no key; keys are like n, N, ?, f5, enter, ctrl+x, shift+tab")
    if name in _LEAVING:
        raise UserError(f"{action}: {key!r}: always leaves, and cannot be anything else")
    return name


def _name_of(character: str) -> str:
    name = unicodedata.name(character, character).lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def _check_clashes(actions: tuple[Action, ...], chosen: set[tuple[Place, str]]) -> None:
    """Whether a key that the user has set is another action's in the same place, or around it."""
    for action, own in zip(actions, ACTIONS, strict=True):
        if (action.place, action.name) not in chosen:
            continue
        for other, others in zip(actions, ACTIONS, strict=True):
            if other is action or not _is_heard_with(action.place, other.place):
                continue
            both = (_keys(action) & _keys(other)) - (_keys(own) & _keys(others))
            if both:
                raise UserError(
                    f"{action.name}: {min(both)!r} is the key of {other.name} too ({other.place.lower()})"
                )


def _keys(action: Action) -> set[str]:
    return set(action.keys.split(","))


def _is_heard_with(place: Place, other: Place) -> bool:
    return other is place or _AROUND.get(place) is other or _AROUND.get(other) is place


def _shown_in_footers(chosen: Mapping[Action, _Keys]) -> dict[tuple[Place, str], str]:
    """What the footers say that name a changed key; `+/- lr` names two."""
    footers = {}
    for action in ACTIONS:
        keys, _, label = action.footer.partition(" ")
        shown = {
            other.shown_key: given.shown for other, given in chosen.items() if other.place is action.place
        }
        named = [shown.get(key, key) for key in keys.split("/")] if len(keys) > 1 else [shown.get(keys, keys)]
        footers[action.place, action.name] = f"{'/'.join(named)} {label}" if label else ""
    return footers
