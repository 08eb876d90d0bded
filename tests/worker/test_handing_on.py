"""A session that is handed on goes on elsewhere as it would have gone on here, bit for bit."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.control import queue_run
from engine.sharing.importing import import_session
from engine.sharing.packing import pack_session
from engine.spec import RunSpec
from engine.store.records import Status

from .conftest import Laboratory
from .forked_workers import use_forked_workers
from .records import everything_stored

SPEC = RunSpec(device="cpu", steps=40, decode_every=6, beam=1, max_decoded_tokens=6, lr=0.02)


@pytest.fixture
def laboratories(tmp_path: Path) -> Iterator[tuple[Laboratory, Laboratory]]:
    """Two of them, each with its own database and worker."""
    pair = Laboratory(tmp_path / "here.db"), Laboratory(tmp_path / "there.db")
    yield pair
    for laboratory in pair:
        if laboratory.database.exists():
            laboratory.kill_worker()


def test_a_paused_run_goes_on_in_another_database(
    laboratories: tuple[Laboratory, Laboratory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = laboratories
    use_forked_workers(monkeypatch, with_toy_models=True)
    whole = queue_run(here.database, SPEC, session="whole")
    paused = queue_run(here.database, SPEC, session="handed on", break_points=["loss>0"])
    here.wait_for_end(whole)
    here.wait_for_status(paused, Status.PAUSED)
    here.ask(paused, "resume", until=23)
    here.wait_for_status(paused, Status.PAUSED)

    pack_session(here.database, "handed on", tmp_path / "session.zip")
    imported = import_session(tmp_path / "session.zip", there.database).runs[paused]
    there.wait_for_status(imported, Status.PAUSED)
    there.ask(imported, "resume")
    there.wait_for_end(imported)
    assert everything_stored(there.database, imported) == everything_stored(here.database, whole)


def test_a_run_that_was_going_on_is_stopped_and_goes_on_from_its_checkpoint(
    laboratories: tuple[Laboratory, Laboratory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = laboratories
    use_forked_workers(monkeypatch, with_toy_models=True)
    spec = SPEC.model_copy(update={"steps": 400})
    running = queue_run(here.database, spec, session="handed on")
    here.wait_for_step(running, 60)
    worker = here.worker()
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)  # so that it is surely still at it
    pack_session(here.database, "handed on", tmp_path / "session.zip")
    os.kill(worker.pid, signal.SIGCONT)
    here.wait_for_end(running)

    imported = import_session(tmp_path / "session.zip", there.database).runs[running]
    with there.reader() as reader:
        assert reader.run(imported).status is Status.STOPPED
        assert 60 <= (reader.run(imported).last_step or 0) < 400
    there.ask(imported, "resume")
    there.wait_for_end(imported)
    assert everything_stored(there.database, imported) == everything_stored(here.database, running)
