"""`replay`: what is wrong with a call is said in one line, and a good one opens the app as it was asked."""

from pathlib import Path

import pytest

from engine.spec import RunSpec
from engine.store.writing import add_run
from tui import cli
from tui.playback import Speed
from tui.replay import ReplayRequest
from tui.settings import Settings

from .conftest import Answer, Call


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, ReplayRequest]]:
    """What the app would have been opened with on a terminal."""
    asked: list[tuple[Settings, ReplayRequest]] = []

    def open_app(chosen: Settings, replay: ReplayRequest) -> int:
        asked.append((chosen, replay))
        return 0

    monkeypatch.setattr(cli, "is_on_a_terminal", lambda: True)
    monkeypatch.setattr(cli, "open_app", open_app)
    return asked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["9"], "run: there is no run 9 in DATABASE"),
        (["one"], "run: 'one': should be the number of a run, as `sonar-explore list` shows it"),
        (["1", "--speed", "3"], "speed: '3': allowed are 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, recorded"),
        (["1", "--from", "5"], "--from: 5: run 1 was recorded from step 0 to 4"),
        (["1", "--from", "-1"], "--from: -1: run 1 was recorded from step 0 to 4"),
        (["4"], "run 4: has no rows yet: there is nothing to replay"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_line(
    call: Call,
    database: Path,
    opened: list[tuple[Settings, ReplayRequest]],
    arguments: list[str],
    said: str,
) -> None:
    add_run(database, RunSpec(), device="cpu", session="waiting")
    answer = call("replay", *arguments, "--db", database)
    said = said.replace("DATABASE", str(database))
    assert answer == Answer(2, "", f"sonar-explore: {said}\n")
    assert opened == []


def test_without_a_terminal_it_says_what_prints_the_rows(call: Call, database: Path) -> None:
    answer = call("replay", "1", "--db", database)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "sonar-explore: replay: needs a terminal to play on; `sonar-explore show RUN` prints the rows\n"
    )


def test_the_app_is_opened_with_what_was_asked_for(
    call: Call, database: Path, opened: list[tuple[Settings, ReplayRequest]]
) -> None:
    assert call("replay", "1", "--db", database).code == 0
    flags = ("--db", database, "--ascii", "--theme", "light", "--no-mouse")
    assert call(*flags, "replay", "2", "--from", "1", "--speed", "recorded").code == 0
    (plain, first), (chosen, second) = opened
    assert first == ReplayRequest(1, 0, Speed.X1)
    assert second == ReplayRequest(2, 1, Speed.RECORDED)
    assert (plain.ascii, plain.theme, plain.mouse) == (False, "sonar", True)
    assert (chosen.ascii, chosen.theme, chosen.mouse) == (True, "light", False)
    assert plain.database_path == chosen.database_path == database
