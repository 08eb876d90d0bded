"""Read sessions and runs: what a list shows of them."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine import process
from engine.errors import UserError
from engine.store.json_columns import as_bool, json_object, texts
from engine.store.open_database import OpenDatabase, Row
from engine.store.records import RunRecord, RunTotals, SessionRecord, SessionSummary, Status

_RUN_COLUMNS = """
    run.id, session.name, run.number, run.name, run.spec, run.init, run.target, run.loss_name, run.bundle,
    run.bundle_digest, run.steps, run.status, run.origin, run.parent_run, run.parent_step, run.device,
    run.seed, run.worker_pid, run.heartbeat, run.error, run.created, run.started, run.ended,
    last.step, last.loss, last.similarity, run.lr, last.z_norm, decoded.match, decoded.decoded_prediction,
    (SELECT step FROM step INDEXED BY step_match WHERE step.run = run.id AND match = 1 ORDER BY step LIMIT 1),
    run.weights,
    run.schedules,
    (SELECT json_group_array(condition) FROM (
        SELECT condition FROM break_point WHERE break_point.run = run.id ORDER BY break_point.id
    )),
    run.environment,
    run.worker_start
"""

_STATUS, _WORKER_PID, _HEARTBEAT, _MATCH = 11, 17, 18, 28
"""Places of columns."""

_REPEATED = (1, 4, 5, 6, 7, 8, 9, 12, 15, 29)
"""Places of texts that many runs have in common: session, spec, init, target, loss, bundle, digest, origin,
device, prediction."""

_STATUSES = {str(status): status for status in Status}

_RUN_TABLES = """
    run JOIN session ON session.id = run.session_id
        AND run.deleted IS NULL AND session.deleted IS NULL
    LEFT JOIN step AS last
        ON last.run = run.id AND last.step = (SELECT max(step) FROM step WHERE step.run = run.id)
    LEFT JOIN step AS decoded
        ON decoded.run = run.id AND decoded.step = (
            SELECT step FROM step
            WHERE step.run = run.id AND decoded_prediction IS NOT NULL ORDER BY step DESC LIMIT 1
        )
"""


class RunReader(OpenDatabase):
    """Reads sessions, and runs with the newest values of their trajectories."""

    def __init__(self, path: Path) -> None:
        """Open a database for reading, as `OpenDatabase` does."""
        super().__init__(path)
        self._going_on: dict[int, tuple[Row, RunRecord]] = {}

    def sessions(self, *, with_archived: bool = True) -> list[SessionRecord]:
        """All sessions that are not deleted, oldest first."""
        return [
            SessionRecord(key, name, created, notes, texts(tags), bool(archived), runs)
            for key, name, created, notes, tags, archived, runs in self.rows(
                "SELECT id, name, created, notes, tags, archived,"
                " (SELECT count(*) FROM run WHERE session_id = session.id AND run.deleted IS NULL)"
                " FROM session WHERE deleted IS NULL AND (? OR NOT archived) ORDER BY id",
                (with_archived,),
            )
        ]

    def session(self, name: str) -> SessionRecord:
        """The session of a name.

        Raises:
            UserError: there is none.
        """
        for session in self.sessions():
            if session.name == name:
                return session
        raise UserError(f"session: {name[:40]!r}: there is none of that name in {self.path}")

    def session_summaries(self, *, with_archived: bool = False) -> list[SessionSummary]:
        """What a list of sessions shows, but for what has to be summed over all rows, oldest first."""
        figures = {
            key: tuple(rest)
            for key, *rest in self.rows(
                "SELECT session_id,"
                " sum(EXISTS (SELECT 1 FROM step INDEXED BY step_match"
                " WHERE step.run = run.id AND match = 1)),"
                " max(max(created, coalesce(started, 0), coalesce(ended, 0)))"
                " FROM run WHERE deleted IS NULL GROUP BY session_id"
            )
        }
        summaries = []
        for session in self.sessions(with_archived=with_archived):
            matches, active = figures.get(session.id, (0, session.created))
            summaries.append(SessionSummary(session, matches, active))
        return summaries

    def newest_steps(self) -> dict[int, tuple[int, int | None]]:
        """The session's id and the newest step of each run that is not deleted, by the run's id."""
        return {
            run: (session, step)
            for run, session, step in self.rows(
                "SELECT id, session_id, (SELECT max(step) FROM step WHERE run = run.id)"
                " FROM run WHERE deleted IS NULL"
            )
        }

    def run_totals(self, run_id: int) -> RunTotals:
        """The lowest loss of a run and its size; reads all its rows."""
        lowest, steps = self.rows(
            "SELECT min(loss), coalesce(sum(length(terms) + coalesce(length(decoded_z), 0)"
            " + coalesce(length(decoded_prediction), 0) + coalesce(length(token_losses), 0) + 70), 0)"
            " FROM step WHERE run = ?",
            (run_id,),
        )[0]
        ((others,),) = self.rows(
            "SELECT coalesce((SELECT sum(length(data)) FROM vector WHERE run = :run), 0)"
            " + coalesce((SELECT sum(length(data)) FROM checkpoint WHERE run = :run), 0)",
            {"run": run_id},
        )
        return RunTotals(lowest, steps + others)

    def runs(self, session: str | None = None, *, with_archived: bool = False) -> list[RunRecord]:
        """All runs that are not deleted, or those of one session, oldest first.

        Those of archived sessions are left out, unless they are asked for or it is the one session.
        """
        where = "session.name = ?" if session is not None else "? OR NOT session.archived"
        argument = session if session is not None else with_archived
        return self._run_records(f"WHERE {where}", argument)

    def runs_of(self, ids: Sequence[int]) -> list[RunRecord]:
        """The runs of some ids, oldest first; those that there are not, or that are deleted, are left out."""
        return self._run_records("WHERE run.id IN (SELECT value FROM json_each(?))", json.dumps(ids))

    def run(self, run_id: int) -> RunRecord:
        """One run.

        Raises:
            UserError: there is no such run.
        """
        rows = self.rows(f"SELECT {_RUN_COLUMNS} FROM {_RUN_TABLES} WHERE run.id = ?", (run_id,))
        if not rows:
            raise UserError(f"run: there is no run {run_id} in {self.path}")
        return self._run(rows[0])

    def _run_records(self, where: str, argument: object) -> list[RunRecord]:
        sql = f"SELECT {_RUN_COLUMNS} FROM {_RUN_TABLES} {where} ORDER BY run.id"
        return self.made_of_rows(sql, (argument,), self._run)

    def _run(self, row: Row) -> RunRecord:
        """The record of a row; of a run that goes on the same as before where nothing in it has changed.

        Nothing is kept of runs that have ended: there may be thousands of them.
        """
        if _STATUSES[row[_STATUS]].has_ended:
            self._going_on.pop(row[0], None)
            return _run_record(row)
        known = self._going_on.get(row[0])
        if known is None or known[0] != row:
            known = self._going_on[row[0]] = (row, _run_record(row))
        record, status = known[1], _status(row)
        if record.status is not status:  # its worker has gone, and left no trace in the row
            record = replace(record, status=status)
            self._going_on[row[0]] = (row, record)
        return record


def _run_record(row: Row) -> RunRecord:
    *columns, weights, schedules, break_points, environment, _ = row
    for place in _REPEATED:
        if type(columns[place]) is str:  # a column may hold anything
            columns[place] = sys.intern(columns[place])
    columns[_STATUS] = _status(row)
    columns[_MATCH] = as_bool(columns[_MATCH])
    values: Row = (
        *columns,
        _of_spec(row[4], "weights") if weights is None else _shared_object(weights) or {},
        _of_spec(row[4], "schedules") if schedules is None else _shared_object(schedules) or {},
        () if break_points == "[]" else tuple(json.loads(break_points)),
        None if environment is None else _shared_object(environment),
    )
    return RunRecord(*values)


def _status(row: Row) -> Status:
    """As stored, except that a run whose worker process is gone is crashed."""
    status = _STATUSES[row[_STATUS]]
    pid, heartbeat, start = row[_WORKER_PID], row[_HEARTBEAT], row[-1]
    has_worker = status.is_held_by_worker and pid is not None  # a worker that leaves lets go of it
    return Status.CRASHED if has_worker and process.is_gone(pid, start, heartbeat) else status


@lru_cache(maxsize=256)
def _of_spec(spec: str, name: str) -> dict[str, Any]:
    """The weights, or the schedules, that a spec asks for; many runs have the same."""
    found = (json_object(spec) or {}).get(name)
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=256)
def _shared_object(text: str | bytes) -> Mapping[str, Any] | None:
    """The object that a text holds, or None when it holds none; one for all runs with the same text."""
    return json_object(text)
