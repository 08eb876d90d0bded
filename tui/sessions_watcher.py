"""Watch the sessions, on a thread: what a list of them shows at once, and what takes longer bit by bit."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import UserError
from engine.store.records import RunTotals, SessionSummary
from tui.session_rows import SessionFigures

if TYPE_CHECKING:
    from engine.store.reading import Reader

_POLL_INTERVAL_S = 0.2
_REOPEN_INTERVAL_S = 1.0
_BUDGET_S = 0.2
"""Most time spent on sizes and losses before what is known so far is shown."""

_GROWING_INTERVAL_S = 2.0
"""A run that goes on is summed anew this often."""


class SessionsRead(Message):
    """The sessions have changed, or more is known of them."""

    def __init__(self, rows: tuple[SessionFigures, ...], archived: int) -> None:
        super().__init__()
        self.rows = rows
        self.archived = archived
        """How many archived ones there are, shown or not."""


class SessionsUnreadable(Message):
    """The database cannot be read; the thread keeps trying."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class SessionsWatcher:
    """The thread."""

    def __init__(self, database: Path, post: Callable[[Message], object], *, with_archived: bool) -> None:
        self._database = database
        self._post = post
        self._with_archived = with_archived
        self._shows_archived = with_archived
        self._thread = threading.Thread(target=self._watch, name="sessions-watcher", daemon=True)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._reader: Reader | None = None
        self._version: int | None = None
        self._posted: object = None
        self._summaries: Sequence[SessionSummary] = ()
        self._newest: Mapping[int, tuple[int, int | None]] = {}
        self._totals: dict[int, tuple[int | None, float, RunTotals]] = {}
        """Of each run: up to which step, and when, it was summed."""
        self._sum_again_s = float("inf")
        """When a run that goes on is due."""

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait until the connection is closed; at most two seconds, so on a thread."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def show_archived(self, with_archived: bool) -> None:
        """Show archived sessions too, or no longer."""
        self._with_archived = with_archived
        self._wake.set()

    def _watch(self) -> None:
        is_behind = False
        while not self._stopping.is_set():
            pause_s = 0.0 if is_behind else _POLL_INTERVAL_S
            try:
                is_behind = self._look(is_behind)
            except Exception as error:  # nobody above a thread could show it
                self._close()
                is_behind = False
                reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                if reason != self._posted:
                    self._posted = reason
                    self._post(SessionsUnreadable(reason))
                pause_s = _REOPEN_INTERVAL_S
            self._wake.wait(pause_s)
            self._wake.clear()
        self._close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _look(self, is_behind: bool) -> bool:
        """Read what is new; whether there is more to be summed."""
        if self._reader is None:
            from engine.store.reading import Reader

            self._reader = Reader(self._database)
            self._version = None
        version = self._reader.data_version()
        if version != self._version:
            self._version = version
            self._summaries = self._reader.session_summaries(with_archived=True)
            self._newest = self._reader.newest_steps()
            self._show()
        elif self._shows_archived is not self._with_archived:
            self._show()
        elif not is_behind and time.monotonic() < self._sum_again_s:
            return False
        is_behind = self._sum(self._reader)
        self._show()
        return is_behind

    def _sum(self, reader: "Reader") -> bool:
        """Sum over the rows of the runs that have changed, as far as the time goes."""
        deadline = time.perf_counter() + _BUDGET_S
        self._sum_again_s = float("inf")
        for run in self._totals.keys() - self._newest.keys():
            del self._totals[run]
        for run, (_, step) in sorted(self._newest.items(), reverse=True):
            now = time.monotonic()
            known = self._totals.get(run)
            if known is not None and known[0] == step:
                continue
            if known is not None and now < known[1] + _GROWING_INTERVAL_S:
                self._sum_again_s = min(self._sum_again_s, known[1] + _GROWING_INTERVAL_S)
                continue
            if time.perf_counter() > deadline or self._stopping.is_set():
                return True
            self._totals[run] = (step, now, reader.run_totals(run))
        return False

    def _show(self) -> None:
        self._shows_archived = self._with_archived
        of_session: dict[int, list[RunTotals | None]] = defaultdict(list)
        for run, (session, _) in self._newest.items():
            known = self._totals.get(run)
            of_session[session].append(known[2] if known else None)
        rows = tuple(
            _figures(summary, of_session[summary.session.id])
            for summary in self._summaries
            if self._shows_archived or not summary.session.archived
        )
        state = (rows, sum(summary.session.archived for summary in self._summaries))
        if state != self._posted:
            self._posted = state
            self._post(SessionsRead(*state))


def _figures(summary: SessionSummary, totals: Sequence[RunTotals | None]) -> SessionFigures:
    known = [one for one in totals if one is not None]
    if len(known) < len(totals):
        return SessionFigures(summary)
    losses = (one.lowest_loss for one in known if one.lowest_loss is not None)
    return SessionFigures(summary, min(losses, default=None), sum(one.size_bytes for one in known))
