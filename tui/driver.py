"""The way to the terminal, also to one that goes away."""

from contextlib import suppress
from typing import Any, TextIO

from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message


class TerminalGone(Message):
    """Nothing can be read from the terminal any more."""


class TerminalDriver(LinuxDriver):
    """Textual's driver, with which an app ends in order when its terminal is gone.

    By itself Textual's writer thread ends at the first write that fails; what is written after that fills a
    queue that nobody reads, and the app waits for room in it for good.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file: Any = _WhileItLasts(self._file)

    def run_input_thread(self) -> None:
        """Wait for input and hand it on, until there is no terminal to read from."""
        try:
            super().run_input_thread()
        except OSError:
            self._app.post_message(TerminalGone())


class _WhileItLasts:
    """A file of text that takes everything, also when nobody is at its other end any more."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()
