"""Whether a process has kernels of the project's own."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from triton.compiler import compiler

from engine.fast import products_kernels
from engine.fast.compiled import compiled
from tests.engine.fast.compiling import AMPERE, compiled_for

CARD = torch.device("cuda", 0)


def test_kernels_that_are_wrong_are_done_without_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def check(kernels: object) -> None:
        raise ArithmeticError("its values are wrong")

    with caplog.at_level(logging.WARNING):
        assert compiled("something", CARD, object, check) is None
    assert caplog.messages == [
        "something on cuda:0: without kernels of its own, hence slower: ArithmeticError: its values are wrong"
    ]


def test_a_card_that_is_full_for_now_does_not_decide_about_kernels() -> None:
    def check(kernels: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        compiled("something", CARD, object, check)


def test_a_kernel_that_a_full_card_did_not_load_is_loaded_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton's own compiled kernel, on a card and its driver that only act as such."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    is_full = True
    launched: list[object] = []

    def load_binary(*arguments: object) -> tuple[str, str, int, int, int]:
        if is_full:
            raise RuntimeError("Triton Error [CUDA]: out of memory")
        return "module", "function", 32, 0, 1024

    card = SimpleNamespace(
        get_current_device=lambda: 0,
        get_current_target=lambda: AMPERE,
        launcher_cls=lambda source, metadata: launched.append,
        utils=SimpleNamespace(load_binary=load_binary),
    )
    monkeypatch.setattr(compiler, "driver", SimpleNamespace(active=card))
    monkeypatch.setattr(compiler, "max_shared_mem", lambda device: 99 * 1024)
    types = dict.fromkeys(("parts", "bias", "whole"), "*fp32")
    types |= dict.fromkeys(("count", "size", "width"), "i32")
    constants = {"has_bias": 0, "is_rectified": 0, "block": 512}
    kernel = compiled_for(AMPERE, products_kernels.add_up, types, constants)

    def check(kernels: object) -> None:
        kernel.run(kernel.function)

    with pytest.raises(torch.OutOfMemoryError, match=r"^Triton Error \[CUDA\]: out of memory$"):
        compiled("something", CARD, object, check)
    is_full = False
    assert compiled("something", CARD, object, check) is not None
    assert launched == ["function"]
