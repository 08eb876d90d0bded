"""The way to the terminal, also to one that goes away."""

import os
from codecs import getincrementaldecoder
from contextlib import suppress
from selectors import EVENT_READ, SelectSelector
from typing import Any, TextIO

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

_LOOK_FOR_THE_END_S = 0.1
_MOST_BYTES = 4096


class TerminalGone(Message):
    """Nothing can be read from the terminal any more."""


class TerminalDriver(LinuxDriver):
    """Textual's driver, with which an app ends in order when its terminal is gone, and leaves nothing behind.

    By itself, in Textual 8.2.8:

    - the writer thread ends at the first write that fails; what is written after that fills a queue that
      nobody reads, and the app waits for room in it for good;
    - the input thread takes a read of nothing for a pause, and asks a terminal that has hung up again
      and again;
    - every SIGCONT, and one comes with the hanging up, starts an input thread and a writer thread, also
      beside those that are there. Only the latest are told to end, and the process waits for the others for
      good.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file: Any = _WhileItLasts(self._file)

    def write(self, data: str) -> None:
        """Send to the terminal, as long as it is the app's."""
        if self._is_writing:
            super().write(data)

    def run_input_thread(self) -> None:
        """Wait for input and hand it on, until that is to end or there is no terminal to read from."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")().decode
        with SelectSelector() as selector:
            selector.register(self.fileno, EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_LOOK_FOR_THE_END_S):
                    read = self._read()
                    if not read:
                        self._app.post_message(TerminalGone())
                        return
                    if text := decode(read):  # nothing, which may be half a character, would end the parser
                        for event in parser.feed(text):
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def end(self) -> None:
        """Leave no thread behind, whichever way the app has ended."""
        self.exit_event.set()
        if self._key_thread is not None:
            self._key_thread.join()
        if self._is_writing:
            self.close()

    @property
    def _is_writing(self) -> bool:
        return self._writer_thread is not None and self._writer_thread.is_alive()

    def _read(self) -> bytes:
        """What there is; nothing when the terminal is gone, which may also be an error."""
        try:
            return os.read(self.fileno, _MOST_BYTES)
        except OSError:
            return b""

    def _sigcont_application(self, *_: object) -> None:
        """Take the terminal again from the event loop: what the signal interrupts may be writing."""
        with suppress(RuntimeError):  # the loop is closed: there is nothing to go on with
            self._loop.call_soon_threadsafe(self._take_terminal_again)

    def _take_terminal_again(self) -> None:
        """Set the terminal up and paint it, whatever others did to it since the process was stopped."""
        if not self._auto_restart or not self._app.is_running:
            return
        if self._is_writing:  # nobody gave the terminal back before: SIGSTOP, or nothing had stopped it
            self.suspend_application_mode()
        self.resume_application_mode()
        self._app.call_later(self._app.refresh, layout=True)


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
