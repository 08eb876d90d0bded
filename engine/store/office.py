"""Who the worker of a device is: it takes office, shows that it is alive, and leaves."""

import sqlite3
import time
from dataclasses import astuple
from pathlib import Path

from engine import process
from engine.store.patient_connection import PatientConnection
from engine.store.records import CardFigures, Status
from engine.store.run_changes import QUEUED, Event, add_event, next_step, set_status


class Office(PatientConnection):
    """What a worker says about itself."""

    def describe_worker(self, pid: int, state: str, idle_timeout_s: float, log: Path) -> None:
        """Say that this process is the device's worker, and what it is doing."""
        self.write(
            lambda connection: _describe_worker(connection, self.device, pid, state, idle_timeout_s, log)
        )

    def beat(self, pid: int, card: CardFigures | None = None) -> None:
        """Note that the worker and its runs are alive, and how its card is doing if it has one.

        Skipped when the database is busy.
        """
        now = time.time()
        figures = astuple(card) if card else (None,) * 4
        try:
            self._in_transaction(
                lambda connection: (
                    connection.execute(
                        "UPDATE worker SET heartbeat = ?, device_name = ?, memory_used = ?, memory_total = ?,"
                        " utilisation = ? WHERE device = ?",
                        (now, *figures, self.device),
                    ),
                    connection.execute(
                        "UPDATE run SET heartbeat = ?"
                        " WHERE worker_pid = ? AND worker_start = ? AND device = ?",
                        (now, pid, process.process_start(pid), self.device),
                    ),
                )
            )
        except sqlite3.DatabaseError as error:
            self._report(f"heartbeat: {error}")

    def another_worker_is_alive(self) -> bool:
        """Whether the device's worker, as last described, is a living process other than this one."""
        rows = self.read("SELECT pid, start, heartbeat FROM worker WHERE device = ?", (self.device,))
        return bool(rows) and not process.is_gone(*rows[0])

    def take_office(self, pid: int, idle_timeout_s: float, log: Path) -> bool:
        """Become the device's worker where no file can be locked; False: another one is, or may be, alive."""

        def take(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                "SELECT pid, start, heartbeat FROM worker WHERE device = ?", (self.device,)
            ).fetchone()
            if row is not None and not process.is_gone(*row):
                return False
            _describe_worker(connection, self.device, pid, "starting", idle_timeout_s, log)
            return True

        return self.write(take)

    def leave(self, park_queued: Event | None = None) -> bool:
        """Sign off as the device's worker: a run that is queued later finds none and starts one.

        With work waiting this is False and nothing is changed, unless `park_queued` says why the queued
        runs are to be paused, and the tasks cancelled.
        """

        def sign_off(connection: sqlite3.Connection) -> bool:
            queued = connection.execute(f"SELECT run.id {QUEUED}", (self.device,)).fetchall()
            if park_queued is not None:
                for (run,) in queued:
                    set_status(connection, run, Status.PAUSED)
                    add_event(connection, run, next_step(connection, run), park_queued)
                connection.execute(
                    "UPDATE task SET status = 'cancelled', error = ?, ended = ?"
                    " WHERE device = ? AND status = 'pending'",
                    (park_queued.detail, time.time(), self.device),
                )
            elif (
                queued
                or connection.execute(
                    "SELECT 1 FROM command WHERE device = :device AND status = 'pending'"
                    " UNION ALL SELECT 1 FROM task WHERE device = :device AND status = 'pending' LIMIT 1",
                    {"device": self.device},
                ).fetchone()
            ):
                return False
            connection.execute("DELETE FROM worker WHERE device = ?", (self.device,))
            return True

        return self.write(sign_off)


def _describe_worker(
    connection: sqlite3.Connection, device: str, pid: int, state: str, idle_timeout_s: float, log: Path
) -> None:
    now = time.time()
    connection.execute(
        "INSERT INTO worker (device, pid, start, started, heartbeat, state, idle_timeout_s, log)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET"
        " started = iif(pid = excluded.pid AND start = excluded.start, started, excluded.started),"
        " pid = excluded.pid, start = excluded.start, heartbeat = excluded.heartbeat,"
        " state = excluded.state, idle_timeout_s = excluded.idle_timeout_s, log = excluded.log",
        (device, pid, process.process_start(pid) or "", now, now, state, idle_timeout_s, str(log)),
    )
