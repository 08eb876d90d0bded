"""Kernels that are made while a bundle is loaded: with substitutes, for there is no card."""

import pkgutil
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
import torch

import engine.decoding
import engine.fast
from engine.models import kernels
from engine.models.kernels import KERNELS, made_beside
from engine.models.loaded import LoadedBundle
from engine.models.rehearsal import rehearse
from engine.optimizer import Optimization
from tests.engine.toy import toy_bundle, toy_spec

CARD = torch.device("cuda", 0)
PATIENCE_S = 60


def test_they_are_made_beside_and_only_those_that_are_waited_for_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_loading, is_made, is_shown = (threading.Event() for _ in range(3))
    made: list[tuple[str, torch.device]] = []
    shown: list[str] = []

    def first(device: torch.device) -> None:
        assert is_loading.wait(PATIENCE_S)
        made.append(("first", device))
        is_made.set()

    def second(device: torch.device) -> None:
        assert is_shown.wait(PATIENCE_S)
        made.append(("second", device))

    def show(line: str) -> None:
        shown.append(line)
        is_shown.set()

    monkeypatch.setattr(kernels, "KERNELS", {"sums": first, "products": second})
    with made_beside(CARD, show):
        is_loading.set()
        assert is_made.wait(PATIENCE_S)
        assert shown == []
    assert shown[-1] == "making kernels for products, 2 of 2"
    assert made == [("first", CARD), ("second", CARD)]


def test_when_loading_fails_what_was_not_begun_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, is_given_up = threading.Event(), threading.Event()
    made: list[str] = []

    class GivingUp(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            is_given_up.set()
            super().shutdown(wait)

    def first(device: torch.device) -> None:
        begun.set()
        assert is_given_up.wait(PATIENCE_S)
        made.append("first")

    def second(device: torch.device) -> None:
        made.append("second")

    monkeypatch.setattr(kernels, "KERNELS", {"sums": first, "products": second})
    monkeypatch.setattr(kernels, "ThreadPoolExecutor", GivingUp)

    def load() -> None:
        with made_beside(CARD, made.append):
            assert begun.wait(PATIENCE_S)
            raise RuntimeError("damaged")

    with pytest.raises(RuntimeError, match="damaged"):
        load()
    assert made == ["first"]


def test_none_is_forgotten() -> None:
    """Whatever asks for kernels of its own is among them."""
    named = {f"{made_by.__module__}.{made_by.__name__}" for made_by in KERNELS.values()}
    found = set()
    for package in (engine.fast, engine.decoding):
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.endswith("_kernels"):  # those import Triton
                name = f"{package.__name__}.{module.name}"
                made_by = getattr(import_module(name), "kernels_on", None)
                if getattr(made_by, "__module__", None) == name:
                    found.add(f"{name}.kernels_on")
    assert found == named


def test_a_rehearsal_changes_nothing() -> None:
    rehearsed, other = toy_bundle(), toy_bundle()
    rehearse(rehearsed)
    found, expected = (Optimization([toy_spec()], bundle).advance()[0] for bundle in (rehearsed, other))
    assert (found.loss, found.state_hash) == (expected.loss, expected.state_hash)
    assert found.decoded_prediction == expected.decoded_prediction


@pytest.mark.parametrize("what", ["token_losses", "predict"])
def test_a_rehearsal_that_fails_is_no_reason_not_to_load(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    tried = []

    def fails(*arguments: object) -> None:
        tried.append(what)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LoadedBundle, what, fails)
    rehearse(bundle)
    assert tried == [what]
