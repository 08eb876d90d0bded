"""A run that is recorded at a steady rate, in a process of its own: what a viewer watches.

    python -m benchmarks.live_run DATABASE STEPS_A_SECOND [STEPS_AT_ONCE]

Queues a run, takes it as its worker does, records STEPS_AT_ONCE rows in one go, says so with a line on
stdout, and then records a row every so often until it is ended.
"""

import argparse
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.spec import PUBLISHED_TARGET, RunSpec
from engine.store.connection import connect
from engine.store.recording import Recorder
from engine.store.records import Status, StepRecord
from engine.store.run_changes import Event
from engine.store.writing import add_run

DEVICE = "cpu"
DIMENSION = 1024
TOTAL_STEPS = 1_000_000
DECODE_EVERY = 10


def step_record(run: int, step: int) -> StepRecord:
    """A row like those of the published experiment; its texts change at every decoding."""
    loss = 0.1 + 3.5 * math.exp(-step / 400)
    is_decoded = step % DECODE_EVERY == 0
    return StepRecord(
        run=run,
        step=step,
        loss=loss,
        terms={"ce": loss},
        similarity=0.15 - 0.1 * math.exp(-step / 400),
        grad_norm=1.0,
        z_norm=0.207,
        lr=0.01,
        elapsed_ms=5.0,
        decoded_z=f"(Yes) One lot number {step} is ready." if is_decoded else None,
        decoded_prediction=PUBLISHED_TARGET if is_decoded else None,
        match=True if is_decoded else None,
        state_hash="0" * 16,
    )


def begin(database: Path, session: str) -> tuple[Recorder, int]:
    """Queue a run and take it, as this process's own."""
    run = add_run(database, RunSpec(steps=TOTAL_STEPS), device=DEVICE, session=session)
    recorder = Recorder(database, DEVICE, report=print)
    recorder.claim(os.getpid())
    recorder.describe_worker(os.getpid(), f"running {run}", 600.0, database.with_suffix(".log"))
    recorder.start(run, digest="0" * 64, step=0, vectors={})
    return recorder, run


def record_at_once(database: Path, run: int, steps: int) -> None:
    """Record rows 0 to `steps` - 1 in one transaction."""
    rows = (step_record(run, step) for step in range(steps))
    connection = connect(database)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO step (run, step, loss, terms, similarity, grad_norm, z_norm, lr, elapsed_ms,"
        " decoded_z, decoded_prediction, match, state_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (r.run, r.step, r.loss, f'{{"ce": {r.loss}}}', *r[4:13])  # terms as the worker writes them
            for r in rows
        ),
    )
    connection.execute("COMMIT")
    connection.close()


def save(database: Path, session: str, steps: int) -> int:
    """A saved run with so many rows; its id."""
    recorder, run = begin(database, session)
    record_at_once(database, run, steps)
    recorder.end(run, steps - 1, Status.STOPPED, Event("stopped"))
    recorder.close()
    return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Record until ended."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("database", metavar="DATABASE", type=Path)
    parser.add_argument("rate", metavar="STEPS_A_SECOND", type=float)
    parser.add_argument("first", metavar="STEPS_AT_ONCE", nargs="?", type=int, default=0)
    options = parser.parse_args(arguments)
    database, rate, first = options.database, options.rate, options.first
    recorder, run = begin(database, "live")
    record_at_once(database, run, first)
    print(run, flush=True)
    z = np.zeros(DIMENSION, dtype=np.float32)
    step, due = first, time.monotonic()
    while True:
        recorder.record_step(step_record(run, step), {"z": z})
        step += 1
        due = max(due + 1 / rate, time.monotonic() - 1)  # a pause of the machine is not made up for
        time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    main()
