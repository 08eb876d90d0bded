"""Workers with tiny models, forked off a process that has imported everything: they begin at once."""

import multiprocessing
from pathlib import Path

import pytest
import torch

import engine.control
from engine import worker
from engine.models import loading
from tests.engine.toy import toy_bundle
from tests.worker.conftest import Laboratory


def use_toy_workers(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants a worker for this database gets one of these, which calls its models `mini`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])

    def ensure_worker(database: Path, device: str) -> None:
        if laboratory.worker() is None:
            context.Process(target=_serve, args=(database,)).start()

    monkeypatch.setattr(engine.control, "ensure_worker", ensure_worker)


def _serve(database: Path) -> None:
    loading._loaded["mini", torch.device("cpu"), torch.float32] = toy_bundle()
    worker.main(["--db", str(database), "--device", "cpu"])
