"""A living worker whose heart does not beat waits for something: say for what."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.store.records import WorkerRecord
from tui.log_tail import LogTail

SILENT_S = 5.0

_TROUBLE = ("trying again", "heartbeat: ")
"""What the worker writes into its log when it cannot write into the database."""


@dataclass
class _Heart:
    beat: float
    """Unix time by the worker's clock, which may be set: only that it changes counts here."""
    heard_s: float
    """When it was first seen, on a monotonic clock."""
    log: LogTail


class Silence:
    """Remembers when each worker was last heard of."""

    def __init__(self) -> None:
        self._hearts: dict[tuple[str, int], _Heart] = {}

    def notice(self, workers: Sequence[WorkerRecord], now_s: float) -> str | None:
        """One line about a worker that cannot write; None when all is well.

        Args:
            workers: As they are stored now.
            now_s: Seconds on a monotonic clock.
        """
        hearts = {}
        for worker in workers:
            if worker.alive:
                key = (worker.device, worker.pid)
                heart = self._hearts.get(key)
                if heart is None or heart.beat != worker.heartbeat:
                    log = LogTail(Path(worker.log)) if heart is None else heart.log
                    heart = _Heart(worker.heartbeat, now_s, log)
                hearts[key] = heart
        self._hearts = hearts
        for (device, pid), heart in hearts.items():
            if now_s - heart.heard_s >= SILENT_S:
                heart.log.read()
                for line in reversed(heart.log.lines):
                    if f"[{pid}]" in line and any(words in line for words in _TROUBLE):
                        reason = line.partition("] ")[2]
                        return f"worker {device}: cannot write for now: {reason}"
        return None
