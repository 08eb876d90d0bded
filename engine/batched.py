"""The event that says with which runs a run is stepped together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.store.records import EventRecord

BATCHED = "batched"
"""Its kind."""

_BEGINS = "started"
"""Kind of the event with which a worker takes up a run: alone, until it says otherwise."""

_TOGETHER = re.compile(r"(\d+) runs together\b")


def batched_detail(count: int, ids: str) -> str:
    """What it says of so many runs, whose numbers are put into a few words."""
    return f"{count} runs together: {ids}" if count > 1 else "alone again"


def others_after(events: Iterable[EventRecord], others: int = 0) -> int:
    """With how many others a run is stepped after some more events, of `others` before them."""
    for event in events:
        if event.kind == BATCHED:
            together = _TOGETHER.match(event.detail)
            others = int(together[1]) - 1 if together else 0
        elif event.kind == _BEGINS:
            others = 0
    return others
