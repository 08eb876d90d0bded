"""What an event says on one line, and in which tone."""

from engine.store.records import EventRecord

_TONES = {
    "lr": "busy",
    "weight": "busy",
    "extended": "busy",
    "resumed": "busy",
    "paused": "warning",
    "break-point": "warning",
    "device": "warning",
    "remade": "warning",
    "regrouped": "warning",
    "failed": "bad",
    "crashed": "bad",
}

_ONE_PHRASE = frozenset({"lr", "weight", "extended", "resumed", "break-point", "forked"})
"""Kinds whose detail goes on from their name: `lr 0.01 → 0.005`, `break-point loss<0.2: 0.1987`."""

_NOTED = ("set: ", "removed: ")
"""How the detail of a break-point begins that was changed, and not met."""

_WHEN = ("after ", "at ")
"""How a detail begins that goes on from any name: `paused after 5 steps`."""


def event_text(event: EventRecord) -> str:
    """The event in one line, for example `extended 100 → 150`; as hostile as its detail."""
    if not event.detail:
        return event.kind
    goes_on = event.kind in _ONE_PHRASE or event.detail.startswith(_WHEN)
    return event.kind + (" " if goes_on else ": ") + event.detail


def text_in_place(event: EventRecord) -> str:
    """The event where it stands in the table: a break-point that was met is right under its row."""
    text = event_text(event)
    if event.kind != "break-point" or event.step is None:
        return text
    return text.removesuffix(f" at step {event.step - 1}")


def is_only_noted(event: EventRecord) -> bool:
    """Whether a break-point was set or removed, and not met."""
    return event.kind == "break-point" and event.detail.startswith(_NOTED)


def event_tone(event: EventRecord) -> str:
    """Tone of an event: busy for what was changed, warning for what made it wait, bad for its end."""
    if is_only_noted(event):
        return "busy"
    return _TONES.get(event.kind, "quiet")
