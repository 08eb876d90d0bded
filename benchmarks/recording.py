"""What it costs to record a step of one run, or of many together: rows, vectors, one commit."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.spec import RunSpec
from engine.store.appending import NewRow
from engine.store.recording import ROWS_LOG_PAGES, NewStep, Recorder
from engine.store.records import StepRecord
from engine.store.writing import add_run

STEPS = 2000
TOGETHER = 128
STEPS_TOGETHER = 150
DIMENSION = 1024
TARGET_TOKENS = 20
DECODE_EVERY = 25
CHECKPOINT_EVERY = 50
CHECKPOINT_BYTES = 20_000


def measure() -> list[tuple[str, float, str]]:
    """Record steps into fresh databases; milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        one = [ms for _, ms in _recorded(Path(folder) / "one.db", runs=1, steps=STEPS)]
        together = list(_recorded(Path(folder) / "many.db", runs=TOGETHER, steps=STEPS_TOGETHER))
    one.sort()
    plain = [ms / TOGETHER for step, ms in together if step % DECODE_EVERY]
    what = f"z of {DIMENSION}, {TARGET_TOKENS} token losses"
    return [
        (f"recording a step (row, {what}, commit), median", statistics.median(one), "ms"),
        ("recording a step, 99th percentile", one[int(STEPS * 0.99)], "ms"),
        (f"recording a step of {TOGETHER} runs, a row of it, median", statistics.median(plain), "ms"),
        (
            f"recording a step of {TOGETHER} runs, a row of it, mean with the log's copying, texts every "
            f"{DECODE_EVERY} steps and checkpoints every {CHECKPOINT_EVERY}",
            statistics.mean(ms for _, ms in together) / TOGETHER,
            "ms",
        ),
    ]


def _recorded(database: Path, *, runs: int, steps: int) -> Iterator[tuple[int, float]]:
    """Record so many steps of so many runs, and say how many milliseconds each took."""
    ids = [add_run(database, RunSpec(steps=steps), device="cpu", session="benchmark") for _ in range(runs)]
    recorder = Recorder(database, "cpu", report=print, log_pages=ROWS_LOG_PAGES)
    for run in ids:
        recorder.claim(os.getpid(), run)
    z = np.random.default_rng(0).normal(size=(runs, DIMENSION)).astype(np.float32)
    for step in range(steps):
        made = [_new_step(run, step, z[place]) for place, run in enumerate(ids)]
        start = time.perf_counter()
        recorder.record_steps(made)
        yield step, (time.perf_counter() - start) * 1e3
    recorder.close()


def _new_step(run: int, step: int, z: np.ndarray[tuple[int], np.dtype[np.float32]]) -> NewStep:
    is_decoded = step % DECODE_EVERY == 0
    row = StepRecord(
        run=run,
        step=step,
        loss=1.0 / (step + run),
        terms={"ce": 1.0 / (step + run)},
        similarity=0.1,
        grad_norm=1.0,
        z_norm=0.207,
        lr=0.01,
        elapsed_ms=5.0,
        decoded_z=f"One lot {step} of {run} is ready." if is_decoded else None,
        decoded_prediction=f"I eat cheese {run} times, {step}." if is_decoded else None,
        match=False if is_decoded else None,
        state_hash="0" * 16,
    )
    vectors = {"z": z, "prediction": z} if is_decoded else {"z": z}
    token_losses = [3.0 / (token + 1) for token in range(TARGET_TOKENS)]
    has_checkpoint = step % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1
    checkpoint = bytes(CHECKPOINT_BYTES) if has_checkpoint else None
    return NewStep(NewRow(row, vectors, token_losses=token_losses), checkpoint)
