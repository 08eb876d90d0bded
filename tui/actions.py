"""Every action of the screen in one registry: its keys, and what the footer, the help and the palette say.

Adding one is an entry here and a method `action_<name>` on the class that its place names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from textual.binding import Binding, BindingType

from engine.store.records import RunRecord, Status


class Place(StrEnum):
    """Where an action's keys work; the value is the heading in the help."""

    EXPLORER = "Anywhere on the main screen"
    RUNS = "In the list of runs"
    TABLE = "In the trajectory table"
    FORM = "In the form for a new run"
    QUESTION = "When it asks whether to stop"
    HELP = "In this help"


@dataclass(frozen=True)
class Action:
    """One thing that a key does."""

    name: str
    place: Place
    keys: str
    """Textual's names of the keys, with commas between them."""

    shown_key: str
    """How the key is written for people."""

    label: str
    """One or two words, for the footer and the palette."""

    help: str
    """One line."""

    footer: str = ""
    """What the footer says, key included; empty for what is only in the help and the palette."""


ACTIONS: tuple[Action, ...] = (
    Action("new_run", Place.EXPLORER, "n", "n", "new run", "Describe a new run and start it", footer="n new"),
    Action(
        "run_published",
        Place.EXPLORER,
        "p",
        "p",
        "published experiment",
        "Start the published experiment at once",
        footer="p published",
    ),
    Action(
        "toggle_pause",
        Place.EXPLORER,
        "space",
        "space",
        "pause or go on",
        "Pause the selected run, or let it go on",
        footer="space pause",
    ),
    Action(
        "raise_lr",
        Place.EXPLORER,
        "plus,equals_sign",
        "+",
        "learning rate up",
        "Raise the learning rate by a quarter",
        footer="+/- lr",
    ),
    Action(
        "lower_lr",
        Place.EXPLORER,
        "minus",
        "-",
        "learning rate down",
        "Take the learning rate back by a quarter",
    ),
    Action("stop", Place.EXPLORER, "s", "s", "stop", "Stop the selected run; asks first", footer="s stop"),
    Action(
        "resume",
        Place.EXPLORER,
        "r",
        "r",
        "resume",
        "Go on with a run that was paused or stopped, failed or crashed",
        footer="r resume",
    ),
    Action(
        "toggle_runs",
        Place.EXPLORER,
        "l",
        "l",
        "list of runs",
        "Hide or show the list of runs",
        footer="l list",
    ),
    Action("next_pane", Place.EXPLORER, "tab", "tab", "other pane", "Move between the list and the table"),
    Action("palette", Place.EXPLORER, "ctrl+p", "ctrl+p", "palette", "Find an action by its name"),
    Action("help", Place.EXPLORER, "question_mark,f1", "?", "help", "Show this help", footer="? help"),
    Action(
        "leave", Place.EXPLORER, "q", "q", "leave", "Leave; runs go on without the screen", footer="q leave"
    ),
    Action("previous_run", Place.RUNS, "up,k", "↑", "previous run", "Select the run above"),
    Action("next_run", Place.RUNS, "down,j", "↓", "next run", "Select the run below"),
    Action("newest_run", Place.RUNS, "home", "home", "newest run", "Select the newest run"),
    Action("oldest_run", Place.RUNS, "end", "end", "oldest run", "Select the oldest run"),
    Action("open_run", Place.RUNS, "enter,right", "enter", "to the table", "Go to the run's table"),
    Action("row_up", Place.TABLE, "up,k", "↑", "row up", "Move up a row and stop following"),
    Action("row_down", Place.TABLE, "down,j", "↓", "row down", "Move down a row"),
    Action("page_up", Place.TABLE, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.TABLE, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action("first_row", Place.TABLE, "home", "home", "first row", "Go to the first row"),
    Action("last_row", Place.TABLE, "end", "end", "last row", "Go to the last row and follow new ones"),
    Action("to_runs", Place.TABLE, "escape,left", "esc", "to the list", "Go back to the list of runs"),
    Action(
        "start", Place.FORM, "ctrl+s", "ctrl+s", "start", "Start the run (enter in a field does the same)"
    ),
    Action("cancel", Place.FORM, "escape", "esc", "cancel", "Close the form; nothing is started"),
    Action("confirm", Place.QUESTION, "y,enter", "y", "yes", "Stop the run"),
    Action("decline", Place.QUESTION, "n,escape,q", "n", "no", "Let it go on"),
    Action("close", Place.HELP, "escape,q,question_mark,f1", "esc", "close", "Close the help"),
)

_STEERING = frozenset({"toggle_pause", "raise_lr", "lower_lr", "stop"})

LEAVE_FROM_ANYWHERE = Binding("ctrl+c", "leave", show=False, priority=True)
"""What a terminal's user expects to work everywhere, in a form and a question too."""


def bindings(place: Place) -> list[BindingType]:
    """Textual's bindings for the class that carries out the actions of a place."""
    return [
        Binding(
            action.keys,
            action.name,
            action.label,
            show=False,
            key_display=action.shown_key,
        )
        for action in at(place)
    ]


def at(place: Place) -> list[Action]:
    """The actions of a place, in the order of the registry."""
    return [action for action in ACTIONS if action.place is place]


def unavailable(run: RunRecord | None) -> frozenset[str]:
    """Names of the actions that the selected run, or its absence, rules out."""
    if run is None or run.origin != "recorded" or run.status is Status.FINISHED:
        return _STEERING | {"resume"}
    if run.status.has_ended:
        return _STEERING
    return frozenset() if run.status is Status.PAUSED else frozenset({"resume"})


def footer_actions() -> Iterable[Action]:
    """What the footer names, the most needed first."""
    return (action for action in ACTIONS if action.footer)
