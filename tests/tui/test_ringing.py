"""What is worth ringing for, and that it cannot harm the terminal."""

from dataclasses import replace

import pytest

from engine.store.reading import Reader
from engine.store.records import RunRecord, Status
from tests.tui.recording import Recording, published_like_rows
from tui.ringing import Ringer, notification


@pytest.fixture
def run(recording: Recording) -> RunRecord:
    """A run that goes on and has not matched."""
    number = recording.begin()
    recording.steps(number, published_like_rows(number, 5))
    with Reader(recording.path) as reader:
        return reader.run(number)


def test_what_was_so_when_the_app_opened_is_no_news(run: RunRecord) -> None:
    ended = [replace(run, id=2, status=Status.FINISHED), replace(run, id=3, status=Status.FAILED, error="x")]
    matched = replace(run, id=4, first_match_step=10)
    ringer = Ringer()
    assert ringer.news([run, *ended, matched]) == []
    assert ringer.news([run, *ended, matched]) == []


def test_a_match_rings_once(run: RunRecord) -> None:
    ringer = Ringer()
    ringer.news([run])
    matched = replace(run, first_match_step=10, match=True)
    assert ringer.news([matched]) == ["run today/1 matches, first at step 10"]
    assert ringer.news([replace(matched, match=False)]) == []
    assert ringer.news([matched]) == []


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"status": Status.FINISHED, "match": False}, "run today/1 finished after 100 steps"),
        ({"status": Status.FINISHED, "match": True}, "run today/1 finished after 100 steps, and matches"),
        ({"status": Status.FAILED, "error": "loss: not finite"}, "run today/1 failed: loss: not finite"),
        ({"status": Status.CRASHED}, "run today/1 crashed"),
    ],
)
def test_an_end_rings_once(run: RunRecord, end: dict[str, object], said: str) -> None:
    ringer = Ringer()
    ringer.news([run])
    ended = replace(run, **end)  # type: ignore[arg-type]
    assert ringer.news([ended]) == [said]
    assert ringer.news([ended]) == []


def test_a_stop_and_a_pause_do_not_ring(run: RunRecord) -> None:
    ringer = Ringer()
    ringer.news([run])
    assert ringer.news([replace(run, status=Status.PAUSED)]) == []
    assert ringer.news([replace(run, status=Status.STOPPED)]) == []


def test_a_run_that_came_and_went_between_two_looks_rings(run: RunRecord) -> None:
    ringer = Ringer()
    assert ringer.news([]) == []
    assert ringer.news([replace(run, status=Status.FINISHED)]) == ["run today/1 finished after 100 steps"]


def test_a_resumed_run_rings_when_it_ends_again(run: RunRecord) -> None:
    ringer = Ringer()
    ringer.news([replace(run, status=Status.FAILED)])
    assert ringer.news([run]) == []
    assert ringer.news([replace(run, status=Status.FINISHED)]) == ["run today/1 finished after 100 steps"]


def test_a_hostile_error_cannot_leave_the_notification(run: RunRecord) -> None:
    ringer = Ringer()
    ringer.news([run])
    error = "\x07\x1b]52;c;aGk=\x07\x9c\x1b\\" + "x" * 10_000
    (line,) = ringer.news([replace(run, status=Status.FAILED, error=error)])
    sent = notification(line)
    assert sent.startswith("\a\x1b]9;sonar-explore: run today/1 failed: ")
    assert sent.endswith("\a")
    inner = sent.removeprefix("\a\x1b]9;").removesuffix("\a")
    assert inner.isprintable()
    assert len(inner) < 200
