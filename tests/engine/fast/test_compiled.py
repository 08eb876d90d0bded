"""Whether a process has kernels of the project's own."""

import logging

import pytest
import torch

from engine.fast.compiled import compiled

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
