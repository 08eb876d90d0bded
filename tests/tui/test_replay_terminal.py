"""A replay in a real pseudo-terminal, opened from the command line."""

from pathlib import Path

from engine.store.records import Status
from tests.tui.recording import Recording, published_like_rows
from tests.tui.test_terminal import Terminal


def test_a_run_is_replayed_to_its_end_and_left_like_the_app(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 101))
    recording.end(run, 100, Status.FINISHED)
    terminal = Terminal(database, "replay", str(run), "--speed", "50", "--from", "40")
    terminal.expect(lambda: "REPLAY" in terminal.text and "playing 50×" in terminal.text)
    terminal.expect(lambda: "at the end" in terminal.text and "step 100/100" in terminal.text)
    terminal.process.send("q")
    terminal.expect(lambda: "REPLAY" not in terminal.text and "1 run" in terminal.text)
    terminal.process.send("q")
    assert terminal.exit_status() == 0
    terminal.assert_restored()
