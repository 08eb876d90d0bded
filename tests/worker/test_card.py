"""The figures of a worker's card, from a driver that stands in for NVIDIA's."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import WorkerRecord
from engine.store.writing import add_run
from engine.work.card import Card
from engine.work.presence import Presence
from tests.worker.conftest import wait_until

UUID = "GPU-11111111-2222-3333-4444-555555555555"
GIB = 2**30


@dataclass
class Driver:
    """Answers as the driver's library does, for one card."""

    used: int = 3 * GIB
    busy: int = 41
    has_utilisation: bool = True
    is_lost: bool = False

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != UUID:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetName(self, handle: str) -> str:  # noqa: N802
        assert handle == UUID
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:  # noqa: N802
        if self.is_lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return SimpleNamespace(used=self.used, total=80 * GIB, free=80 * GIB - self.used)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        if not self.has_utilisation:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=self.busy, memory=7)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    for name in dir(driver):
        if name.startswith("nvml"):
            monkeypatch.setattr(pynvml, name, getattr(driver, name))
    return driver


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    add_run(tmp_path / "sessions.db", RunSpec(), device="cuda:1", session="tests")
    recorder = Recorder(tmp_path / "sessions.db", "cuda:1", report=print)
    recorder.describe_worker(os.getpid(), "idle", 600.0, tmp_path / "log")
    yield recorder
    recorder.close()


def stored(recorder: Recorder) -> WorkerRecord:
    with Reader(recorder.path) as reader:
        return reader.workers()[0]


def use_cards(monkeypatch: pytest.MonkeyPatch, cards: dict[str, str]) -> None:
    """The driver's names of the cards that CUDA has."""
    import torch

    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda device: SimpleNamespace(uuid=cards[device].removeprefix("GPU-")),
    )


def figures(worker: WorkerRecord) -> tuple[str | None, int | None, int | None, int | None]:
    return worker.device_name, worker.memory_used, worker.memory_total, worker.utilisation


def test_the_heart_of_a_worker_records_them_anew_with_every_beat(
    driver: Driver, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cards(monkeypatch, {"cuda:1": UUID})
    presence = Presence(recorder, idle_timeout_s=60.0, report=print)
    presence.look_at_card()
    with presence.beating():
        name = "NVIDIA H100 80GB HBM3"
        wait_until(lambda: stored(recorder).memory_used is not None, "figures")
        assert figures(stored(recorder)) == (name, 3 * GIB, 80 * GIB, 41)
        driver.used, driver.has_utilisation = 5 * GIB, False
        expected = (name, 5 * GIB, 80 * GIB, None)
        wait_until(lambda: figures(stored(recorder)) == expected, "the next figures")
        driver.is_lost = True
        wait_until(lambda: stored(recorder).memory_used is None, "no figures")
        assert figures(stored(recorder)) == (None, None, None, None)


def test_without_a_card_there_are_none(recorder: Recorder) -> None:
    recorder.beat(os.getpid())
    assert figures(stored(recorder)) == (None, None, None, None)


def test_the_card_is_the_one_that_cuda_uses_under_that_number(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cards(monkeypatch, {"cuda:0": "GPU-another", "cuda:1": UUID})
    found = Card.of_device("cuda:1").figures()
    assert found is not None
    assert found.memory_used == 3 * GIB
    with pytest.raises(UserError, match=r"^card: GPU-another: memory and load are not known: .*Not Found"):
        Card.of_device("cuda:0")


def test_a_worker_whose_card_the_driver_does_not_know_says_so_and_goes_on(
    driver: Driver, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cards(monkeypatch, {"cuda:1": "GPU-unknown"})
    said: list[str] = []
    presence = Presence(recorder, idle_timeout_s=60.0, report=said.append)
    presence.look_at_card()
    assert [line.partition(": memory and load are not known")[0] for line in said] == ["card: GPU-unknown"]
    began = stored(recorder).heartbeat
    with presence.beating():
        wait_until(lambda: stored(recorder).heartbeat != began, "a heartbeat")
    assert figures(stored(recorder)) == (None, None, None, None)
