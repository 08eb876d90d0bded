"""The app in a real pseudo-terminal: it leaves cleanly, whoever ends it, and puts the terminal back."""

import base64
import fcntl
import os
import re
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pexpect
import pyte
import pytest

from engine.spec import PUBLISHED_INIT, PUBLISHED_TARGET
from engine.store.records import Status
from tests.tui.recording import Recording, published_like_rows
from tui.view_state import ViewMemory, ViewState

_COLUMNS, _LINES = 100, 30
_DEADLINE_S = 60.0
_STALLED_ROWS, _STEP_S = 1000, 0.01

_GIVEN_BACK = b"\x1b[?1049l\x1b[?25h\x1b[?1004l"
"""The last that a terminal gets: the shell's screen, the cursor, no more reports of focus."""

_WITHOUT_ITS_END_OF_INPUT = """
from textual.drivers.linux_driver import LinuxDriver
from tui.cli import main

LinuxDriver.disable_input = lambda driver: driver._disable_mouse_support()
main()
"""
"""The explorer on a Textual that does not tell the input thread to end."""


class Terminal:
    """A process on a pseudo-terminal, whose output an emulator draws."""

    def __init__(
        self,
        database: Path,
        *flags: str,
        program: Sequence[str] = ("-m", "tui"),
        before_it_starts: Callable[[], None] | None = None,
    ) -> None:
        self.process = pexpect.spawn(
            sys.executable,
            [*program, "--db", str(database), *flags],
            preexec_fn=before_it_starts,
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

    def forget(self) -> None:
        """Clear the screen, so that only what is painted from now on is seen."""
        self._screen.reset()

    def is_stopped(self) -> bool:
        """Whether the process stands still until it is told to continue."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        return stat.rpartition(")")[2].split()[0] == "T"

    def catches(self, number: signal.Signals) -> bool:
        """Whether the process has a handler for a signal."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
        return bool(int(caught, 16) >> (number - 1) & 1)

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


def without_controlling_terminal() -> None:
    """Let no signal tell this process, which leads its session, when its terminal hangs up."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # giving it up sends one
    fcntl.ioctl(0, termios.TIOCNOTTY)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def assert_ends_well_without_its_terminal(terminal: Terminal) -> None:
    terminal.process.ptyproc.fileobj.close()  # the other end of the pseudo-terminal hangs up
    deadline = time.monotonic() + _DEADLINE_S
    while terminal.process.ptyproc.isalive():
        assert time.monotonic() < deadline, "the screen outlived its terminal"
    assert terminal.process.ptyproc.exitstatus == 0


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
    assert_ends_well_without_its_terminal(terminal)


def test_a_terminal_that_goes_away_while_the_screen_opens_ends_it(database: Path) -> None:
    terminal = Terminal(database)
    terminal.expect(lambda: terminal.catches(signal.SIGHUP))  # it has much to say to the terminal yet
    assert_ends_well_without_its_terminal(terminal)


def test_a_terminal_that_goes_away_without_a_signal_ends_the_screen(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    terminal = Terminal(database, before_it_starts=without_controlling_terminal)
    terminal.expect(lambda: "step 30 of 100" in terminal.text)
    terminal.process.send("l")  # the list goes away, and the table gets the keys
    terminal.expect(lambda: "▾ today" not in terminal.text)
    assert_ends_well_without_its_terminal(terminal)
    kept = ViewMemory(database).load()
    assert (kept.run, kept.pane, kept.list_hidden) == (1, "table", True)


def test_a_process_that_was_stopped_takes_its_terminal_again(terminal: Terminal) -> None:
    terminal.process.kill(signal.SIGTSTP)
    terminal.expect(terminal.is_stopped)
    terminal.expect(lambda: terminal.output.endswith(_GIVEN_BACK))
    terminal.forget()
    terminal.process.kill(signal.SIGCONT)
    terminal.expect(lambda: "step 30 of 100" in terminal.text)
    terminal.process.send("q")
    assert terminal.exit_status() == 0
    terminal.assert_restored()


def test_going_on_without_having_been_stopped_paints_the_screen_again(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.forget()
        terminal.process.kill(signal.SIGCONT)
        terminal.expect(lambda: "step 30 of 100" in terminal.text)
    assert_ends_well_without_its_terminal(terminal)


def test_an_input_thread_that_was_missed_does_not_keep_the_process(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    terminal = Terminal(database, program=("-c", _WITHOUT_ITS_END_OF_INPUT))
    terminal.expect(lambda: "step 30 of 100" in terminal.text)
    terminal.process.kill(signal.SIGTERM)
    assert terminal.exit_status() == 0
    terminal.assert_restored()


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


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=["SIGHUP", "SIGTERM"])
def test_after_a_signal_it_opens_on_the_same_run_at_the_same_row(
    terminal: Terminal, database: Path, recording: Recording, number: signal.Signals
) -> None:
    recording.end(1, 30, Status.FINISHED)
    run = recording.begin(target="The dog was happy.")
    recording.steps(run, published_like_rows(run, 60))
    terminal.expect(lambda: "The dog" in terminal.text)  # the newer run; the older one stays selected
    terminal.process.send("l")  # the list goes away, and the table gets the keys
    terminal.expect(lambda: "The dog" not in terminal.text)
    terminal.process.send("\x1b[H" + "\x1b[B" * 3)  # home, three rows down
    terminal.expect(lambda: re.search(r"^ +0 +3\.6000", terminal.text, re.MULTILINE))
    terminal.process.kill(number)
    assert terminal.exit_status() == 0
    kept = ViewMemory(database).load()
    assert (kept.run, kept.pane, kept.list_hidden) == (1, "table", True)
    assert kept.row is not None
    again = Terminal(database)
    again.expect(lambda: "step 30 of 100" in again.text and "new ↓" not in again.text)
    assert "The dog" not in again.text
    again.process.send("\x1b[B")  # one row down from where it was
    again.process.send("q")
    assert again.exit_status() == 0
    assert ViewMemory(database).load() == replace(kept, row=kept.row + 1)


def test_a_second_signal_does_not_change_what_was_kept(terminal: Terminal, database: Path) -> None:
    terminal.process.kill(signal.SIGTERM)
    while terminal.process.ptyproc.isalive() and terminal.read():
        terminal.process.kill(signal.SIGHUP)
    assert terminal.exit_status() == 0
    assert ViewMemory(database).load() == ViewState(run=1, chart="LOSS", sort="NEWEST")


def test_a_slow_line_is_said_and_the_screen_catches_up(terminal: Terminal, recording: Recording) -> None:
    for row in published_like_rows(1, _STALLED_ROWS)[31:]:  # nothing is read from the terminal meanwhile
        recording.steps(1, [row])
        time.sleep(_STEP_S)
    terminal.expect(lambda: "link: slow" in terminal.text)
    terminal.expect(lambda: f"step {_STALLED_ROWS - 1} of" in terminal.text)
    terminal.expect(lambda: "link: slow" not in terminal.text)
    terminal.process.send("q")
    assert terminal.exit_status() == 0


def test_a_run_that_ends_rings_and_notifies(terminal: Terminal, recording: Recording) -> None:
    assert b"\x1b]9;" not in terminal.output
    recording.end(1, 30, Status.FAILED, "loss: not \x1b]52;c;aGk=\x07 finite")
    said = "\a\x1b]9;sonar-explore: run today/1 failed: loss: not ␛]52;c;aGk=␇ finite\a".encode()
    terminal.expect(lambda: said in terminal.output)
    terminal.process.send("q")
    assert terminal.exit_status() == 0
    assert terminal.output.count(b"\x1b]9;") == 1


def test_the_bell_can_be_turned_off(
    database: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONAR_EXPLORE_BELL", "off")
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    terminal = Terminal(database)
    terminal.expect(lambda: "step 30 of 100" in terminal.text)
    recording.end(run, 30, Status.FAILED, "loss: not finite")
    terminal.expect(lambda: "failed" in terminal.text)
    terminal.process.send("q")
    assert terminal.exit_status() == 0
    assert b"\x1b]9;" not in terminal.output
    assert b"\a" not in re.sub(rb"\x1b\][^\a]*\a", b"", terminal.output)  # what ends a code is no bell


def test_the_command_line_is_copied_through_the_terminal(terminal: Terminal) -> None:
    terminal.process.send("\x19")  # ctrl+y
    line = f"sonar-explore run '--init={PUBLISHED_INIT}' '--target={PUBLISHED_TARGET}'"
    copied = b"\x1b]52;c;" + base64.b64encode(line.encode()) + b"\a"
    terminal.expect(lambda: copied in terminal.output)


def test_without_mouse_and_signs_and_colours_of_its_own(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    terminal = Terminal(database, "--no-mouse", "--ascii", "--theme", "ansi")
    terminal.expect(lambda: "step 30 of 100" in terminal.text)
    terminal.process.send("q")
    assert terminal.exit_status() == 0
    shown = terminal.output[: terminal.output.rindex(b"\x1b[?1049l")]
    assert shown.isascii()
    assert not re.search(rb"\x1b\[[0-9;]*[34]8;[25];", shown)  # colours beyond the sixteen
    assert not re.search(rb"\x1b\[\?100[0236]h", shown)  # reports of the mouse


def test_a_bad_setting_ends_it_before_the_screen_is_touched(database: Path) -> None:
    terminal = Terminal(database, "--theme", "pink")
    assert terminal.exit_status() == 2
    assert terminal.output.decode().strip().startswith("sonar-explore: --theme: 'pink': should be 'sonar'")
    assert b"\x1b" not in terminal.output
