"""A database with runs in it, and a worker's connection to it."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.spec import RunSpec
from engine.store.recording import Claim, Recorder
from engine.store.records import StepRecord
from engine.store.writing import add_run


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def run(database: Path) -> int:
    """A queued run of 100 steps on the CPU."""
    return add_run(database, RunSpec(), device="cpu", session="tests")


@pytest.fixture
def recorder(database: Path, run: int) -> Iterator[Recorder]:
    recorder = Recorder(database, "cpu", report=lambda line: None)
    yield recorder
    recorder.close()


@pytest.fixture
def claim(recorder: Recorder) -> Claim:
    """The run, claimed by this process and running."""
    claim = recorder.claim(os.getpid())
    assert claim is not None
    vectors = {"init": np.ones(4, np.float32), "target": np.zeros(4, np.float32)}
    recorder.start(claim.run, digest="abc", step=0, vectors=vectors)
    return claim


def step(run: int, number: int, **values: object) -> StepRecord:
    """Row `number` with recognisable values."""
    defaults: dict[str, object] = {
        "run": run,
        "step": number,
        "loss": 3.0 / (number + 1),
        "terms": {"ce": 3.0 / (number + 1)},
        "similarity": 0.1,
        "grad_norm": 2.0,
        "z_norm": 0.207,
        "lr": 0.01,
        "elapsed_ms": 5.0,
        "decoded_z": None,
        "decoded_prediction": None,
        "match": None,
        "state_hash": f"{number:016x}",
    }
    return StepRecord(**{**defaults, **values})  # type: ignore[arg-type]
