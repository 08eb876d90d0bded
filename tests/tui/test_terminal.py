"""The app in a real pseudo-terminal: it leaves cleanly, whoever ends it, and puts the terminal back."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.tui.recording import Recording, published_like_rows

_COLUMNS, _LINES = 100, 30
_DEADLINE_S = 60.0

_OPEN = """
import sys
from pathlib import Path
from tui.app import ExplorerApp
app = ExplorerApp(Path(sys.argv[1]))
app.run()
sys.exit(app.return_code or 0)
"""


class Terminal:
    """A process on a pseudo-terminal, whose output an emulator draws."""

    def __init__(self, database: Path) -> None:
        self.process = pexpect.spawn(
            sys.executable,
            ["-c", _OPEN, str(database)],
            dimensions=(_LINES, _COLUMNS),
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            timeout=_DEADLINE_S,
        )
        self.output = b""
        self._screen = pyte.Screen(_COLUMNS, _LINES)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def read(self) -> bool:
        """Take what has come; False at the end."""
        try:
            chunk = self.process.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.output += chunk
        self._stream.feed(chunk)
        return True

    def expect(self, condition: Callable[[], object]) -> None:
        """Read until a condition holds."""
        deadline = time.monotonic() + _DEADLINE_S
        while not condition():
            assert self.read(), f"it ended; the screen:\n{self.text}"
            assert time.monotonic() < deadline, f"it did not come to that; the screen:\n{self.text}"

    def exit_status(self) -> int | None:
        """Read to the end, and the status that the process exits with."""
        deadline = time.monotonic() + _DEADLINE_S
        while self.read():
            assert time.monotonic() < deadline, f"it does not end; the screen:\n{self.text}"
        self.process.close()
        assert self.process.signalstatus is None, "it died of a signal"
        status: int | None = self.process.exitstatus
        return status

    def assert_restored(self) -> None:
        """The alternate screen is left and the cursor shown, after they were changed."""
        assert self.output.rindex(b"\x1b[?1049l") > self.output.rindex(b"\x1b[?1049h")
        assert self.output.rindex(b"\x1b[?25h") > self.output.rindex(b"\x1b[?25l")
        assert self.output.rindex(b"\x1b[?1003l") > self.output.rindex(b"\x1b[?1003h")


@pytest.fixture
def terminal(database: Path, recording: Recording) -> Iterator[Terminal]:
    """The explorer on a database with a run that goes on."""
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    terminal = Terminal(database)
    terminal.expect(lambda: "step 30 of 100" in terminal.text)
    yield terminal
    terminal.process.close(force=True)


@pytest.mark.parametrize("key", ["q", "\x03", "\x11"], ids=["q", "ctrl-c", "ctrl-q"])
def test_a_key_leaves_and_says_that_the_run_goes_on(terminal: Terminal, database: Path, key: str) -> None:
    terminal.process.send(key)
    assert terminal.exit_status() == 0
    terminal.assert_restored()
    said = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :].decode()
    assert "Run 1 goes on without this screen." in said
    assert f"Come back: sonar-explore --db {database}" in said
    assert f"Stop: sonar-explore stop 1 --db {database}" in said


def test_sigterm_leaves_cleanly(terminal: Terminal) -> None:
    terminal.process.kill(signal.SIGTERM)
    assert terminal.exit_status() == 0
    terminal.assert_restored()


def test_sighup_leaves_cleanly(terminal: Terminal) -> None:
    terminal.process.kill(signal.SIGHUP)
    assert terminal.exit_status() == 0
    terminal.assert_restored()


def test_a_terminal_that_goes_away_ends_the_screen(terminal: Terminal) -> None:
    terminal.process.ptyproc.fileobj.close()  # the other end of the pseudo-terminal hangs up
    deadline = time.monotonic() + _DEADLINE_S
    while terminal.process.ptyproc.isalive():
        assert time.monotonic() < deadline, "the screen outlived its terminal"
    assert terminal.process.ptyproc.exitstatus == 0


def test_a_screen_at_rest_sends_nothing(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 20))
    recording.pause(run, 20)
    terminal = Terminal(database)
    terminal.expect(lambda: "paused" in terminal.text and "space goes on" in terminal.text)
    quiet_since, sent = time.monotonic(), len(terminal.output)
    deadline = quiet_since + _DEADLINE_S
    while time.monotonic() - quiet_since < 2.5:  # longer than every interval of the watcher
        recording.serve(f"running {run}")
        terminal.read()
        if len(terminal.output) != sent:
            quiet_since, sent = time.monotonic(), len(terminal.output)
        assert time.monotonic() < deadline, "it keeps sending"
    terminal.process.send("q")
    assert terminal.exit_status() == 0
