"""Make the shipped database: the published tables, and the same two runs recorded with the embedded models.

python -m engine.reference sessions.db
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from engine.control import queue_run, request_worker_stop
from engine.errors import UserError
from engine.spec import RunSpec, TextInit
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import RunRecord, Status, StepRecord
from engine.store.tables import Session
from engine.store.writing import new_run, transaction
from engine.workerfiles import worker_log

PUBLISHED_SESSION = "Published: decoder cross-entropy and cosine"
RECORDED_SESSION = "Embedded models"
RECORDED_NOTES = (
    "The two published runs with the embedded models (bundle mini) on a CPU. "
    "Everything in a row belongs to z before its update, decoded z too."
)

DEVICE = "cpu"
_POLL_S = 0.1
_PATIENCE_S = 300.0


def main(arguments: list[str] | None = None) -> int:
    """Make the database anew; the file takes its name when it is whole."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("database", type=Path, help="file to make; one that is there is replaced")
    target: Path = parser.parse_args(arguments).database.resolve()
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            database = Path(folder) / target.name
            add_published_runs(database)
            record_runs(database)
            strip(database)
            database.replace(target)
    except UserError as error:
        print(f"engine.reference: {error}", file=sys.stderr)
        return 2
    return 0


def published() -> dict[str, Any]:
    """The published tables, as typed in from their source."""
    tables: dict[str, Any] = json.loads(
        files("engine").joinpath("published.json").read_text(encoding="utf-8")
    )
    return tables


def published_spec(term: str, *, bundle: str) -> RunSpec:
    """The published run with this loss term, for a bundle."""
    tables = published()
    return RunSpec(
        init=TextInit(text=tables["init"]),
        target=tables["target"],
        weights={term: 1.0},
        lr=tables["lr"],
        steps=tables["steps"],
        bundle=bundle,
    )


def add_published_runs(database: Path) -> None:
    """Add the published tables as a session of finished runs without vectors."""
    tables = published()
    with transaction(database) as open_transaction:
        session = Session(name=PUBLISHED_SESSION, created=time.time(), notes=tables["notes"])
        open_transaction.add(session)
        runs = [
            new_run(
                open_transaction,
                published_spec(run["term"], bundle=tables["bundle"]),
                device="cuda:0",
                session=PUBLISHED_SESSION,
                name=run["name"],
                status=Status.FINISHED,
                origin="published",
            ).id
            for run in tables["runs"]
        ]
    recorder = Recorder(database, DEVICE, report=print)
    try:
        for run_id, run in zip(runs, tables["runs"], strict=True):
            assert run_id is not None
            for row in run["rows"]:
                recorder.record_step(_published_step(run_id, run["term"], row, tables), {})
    finally:
        recorder.close()


def record_runs(database: Path) -> None:
    """Run the published experiments with the embedded models, by a worker of their own.

    Raises:
        UserError: a run did not finish.
    """
    with transaction(database) as open_transaction:
        open_transaction.add(Session(name=RECORDED_SESSION, created=time.time(), notes=RECORDED_NOTES))
    try:
        for run in published()["runs"]:
            spec = published_spec(run["term"], bundle="mini").model_copy(update={"device": DEVICE})
            ended = _wait(database, queue_run(database, spec, session=RECORDED_SESSION, name=run["name"]))
            if ended.status is not Status.FINISHED:
                raise UserError(f"run {ended.id} ({run['name']}): {ended.status}: {ended.error}")
    finally:
        _stop_worker(database)


def strip(database: Path) -> None:
    """Take out what belongs to this machine; leave one file in rollback-journal mode, no side files."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("DELETE FROM worker")
        connection.execute("DELETE FROM command")
        connection.execute("UPDATE event SET who = ''")
        connection.execute("UPDATE run SET worker_pid = NULL, worker_start = NULL, heartbeat = NULL")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("VACUUM")
    finally:
        connection.close()
    database.chmod(0o644)


def _published_step(run: int, term: str, row: dict[str, Any], tables: dict[str, Any]) -> StepRecord:
    return StepRecord(
        run=run,
        step=row["step"],
        loss=row["loss"],
        terms={term: row["loss"]},
        similarity=row["similarity"],
        grad_norm=None,
        z_norm=None,
        lr=tables["lr"],
        elapsed_ms=None,
        decoded_z=row["decoded_z"],
        decoded_prediction=row["decoded_prediction"],
        match=row["decoded_prediction"] == tables["target"],
        state_hash=None,
    )


def _wait(database: Path, run_id: int) -> RunRecord:
    deadline = time.monotonic() + _PATIENCE_S
    with Reader(database) as reader:
        while not (run := reader.run(run_id)).status.has_ended:
            if time.monotonic() > deadline:
                log = worker_log(database, DEVICE).read_text(encoding="utf-8", errors="replace")
                raise UserError(
                    f"run {run_id}: not finished in {_PATIENCE_S:g} s: {' '.join(log.split())[-500:]}"
                )
            time.sleep(_POLL_S)
    return run


def _stop_worker(database: Path) -> None:
    if request_worker_stop(database, DEVICE) is None:
        return
    deadline = time.monotonic() + _PATIENCE_S
    with Reader(database) as reader:
        while any(worker.alive for worker in reader.workers()) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


if __name__ == "__main__":
    sys.exit(main())
