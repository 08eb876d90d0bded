"""A worker whose card has no room for a bundle: the run fails with the advice, and nothing is loaded."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import CardTooSmallError, UserError
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import Status
from engine.store.writing import add_run
from engine.worker import Worker

ADVICE = (
    "memory: mini takes about 9.9 GiB; cuda:0 has 7.9 of 8.0 GiB free: try --encoder cpu, or --device cpu"
)


@pytest.mark.parametrize("device", ["auto", "cuda:0"])
def test_the_run_fails_with_the_advice_and_does_not_go_to_the_cpu_by_itself(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _work(tmp_path, monkeypatch, CardTooSmallError(ADVICE), device=device, asked=["cuda:0"])
    assert error == ADVICE


def test_a_card_that_cannot_be_used_at_all_is_another_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = UserError("device: cuda:0 cannot be used; there are auto, cpu")
    error = _work(tmp_path, monkeypatch, absent, device="auto", asked=["cuda:0", "cpu"])
    assert error == str(absent)


def _work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: UserError, *, device: str, asked: list[str]
) -> str | None:
    """The error of a run after a worker that can load nothing has tried."""
    from engine.models import loading

    devices: list[str] = []

    def load_bundle(name: str, *, device: str, **options: Any) -> None:
        devices.append(device)
        assert options["encoder"] == "cpu"
        raise error

    monkeypatch.setattr(loading, "load_bundle", load_bundle)
    database = folder / "runs.db"
    run = add_run(database, RunSpec(device=device, encoder="cpu"), device="cuda:0", session="card")
    recorder = Recorder(database, "cuda:0", report=lambda line: None)
    try:
        Worker(recorder, idle_timeout_s=1)._work()
    finally:
        recorder.close()
    assert devices == asked
    with Reader(database) as reader:
        record = reader.run(run)
    assert record.status is Status.FAILED
    return record.error
