"""What events say."""

import pytest

from engine.store.records import EventRecord
from tui.event_text import event_text, event_tone, text_in_place


@pytest.mark.parametrize(
    ("kind", "detail", "said", "tone"),
    [
        ("paused", "", "paused", "warning"),
        ("paused", "after 5 steps", "paused after 5 steps", "warning"),
        ("paused", "the worker leaves", "paused: the worker leaves", "warning"),
        ("resumed", "", "resumed", "busy"),
        ("lr", "0.01 → 0.005", "lr 0.01 → 0.005", "busy"),
        ("weight", "cosine 0 → 0.1", "weight cosine 0 → 0.1", "busy"),
        ("extended", "100 → 150", "extended 100 → 150", "busy"),
        ("break-point", "met: loss<0.2: 0.1987", "break-point met: loss<0.2: 0.1987", "warning"),
        ("break-point", "set: loss<0.2", "break-point set: loss<0.2", "busy"),
        ("failed", "step 3: not finite", "failed: step 3: not finite", "bad"),
        ("started", "", "started", "quiet"),
    ],
)
def test_an_event_reads_well(kind: str, detail: str, said: str, tone: str) -> None:
    event = EventRecord(1, 1, 3, 0.0, kind, detail, "me")
    assert (event_text(event), event_tone(event)) == (said, tone)


def test_under_its_row_an_event_does_not_say_the_step_again() -> None:
    met = EventRecord(1, 1, 35, 0.0, "break-point", "met: loss<0.2: 0.1987 at step 34", "worker")
    assert text_in_place(met) == "break-point met: loss<0.2: 0.1987"
    paused = EventRecord(1, 1, 51, 0.0, "paused", "at step 50", "worker")
    assert text_in_place(paused) == "paused at step 50"
