"""What it costs to record a step: its row, its z, one commit."""

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from engine.spec import RunSpec
from engine.store.recording import Recorder
from engine.store.records import StepRecord
from engine.store.writing import add_run

STEPS = 2000
DIMENSION = 1024
TARGET_TOKENS = 20


def measure() -> list[tuple[str, float, str]]:
    """Record steps into a fresh database; milliseconds a step, median and 99th percentile."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "sessions.db"
        run = add_run(database, RunSpec(steps=STEPS), device="cpu", session="benchmark")
        recorder = Recorder(database, "cpu", report=print)
        recorder.claim(os.getpid())
        z = np.random.default_rng(0).normal(size=DIMENSION).astype(np.float32)
        token_losses = [3.0 / (token + 1) for token in range(TARGET_TOKENS)]
        times_ms = []
        for step in range(STEPS):
            row = StepRecord(
                run=run,
                step=step,
                loss=1.0,
                terms={"ce": 1.0},
                similarity=0.1,
                grad_norm=1.0,
                z_norm=0.207,
                lr=0.01,
                elapsed_ms=5.0,
                decoded_z=None,
                decoded_prediction=None,
                match=None,
                state_hash="0" * 16,
            )
            start = time.perf_counter()
            recorder.record_step(row, {"z": z}, token_losses=token_losses)
            times_ms.append((time.perf_counter() - start) * 1e3)
        recorder.close()
    times_ms.sort()
    return [
        (
            f"recording a step (row, z of {DIMENSION}, {TARGET_TOKENS} token losses, commit), median",
            statistics.median(times_ms),
            "ms",
        ),
        ("recording a step, 99th percentile", times_ms[int(STEPS * 0.99)], "ms"),
    ]
