"""Losses of logits and their derivative: formulas and kernels against float64 written out here."""

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.fast import softmax, softmax_kernels
from engine.fast.softmax import by_formulas, kernels_on
from engine.fast.softmax_kernels import SEGMENT
from tests.engine.fast.compiling import machine_code
from tests.engine.fast.interpreted import interpreted

SIZES = {
    "few": (1, 50, 64),
    "not padded": (3, 128, 128),
    "segments": (5, 2 * SEGMENT + 1, 2 * SEGMENT + 64),
    "whole segments": (2, SEGMENT, SEGMENT),
}
"""K, V, V'"""


def logits_and_tokens(name: str) -> tuple[Tensor, Tensor]:
    rows, vocabulary, width = SIZES[name]
    random = torch.Generator().manual_seed(rows)
    logits = torch.randn(rows, width, generator=random) * 20
    tokens = torch.randint(0, vocabulary, (rows,), generator=random)
    tokens[-1] = vocabulary - 1
    logits[0, tokens[0]] = 300  # as good as certain
    logits[-1, 0] = 500  # and as good as impossible
    return logits, tokens


def expected(logits: Tensor, tokens: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    real = logits.double()[:, :vocabulary]
    shares = (real - real.max(dim=1, keepdim=True).values).exp()
    probabilities = shares / shares.sum(dim=1, keepdim=True)
    logarithms = real.max(dim=1).values + shares.sum(dim=1).log()
    rows = torch.arange(len(tokens))
    errors = torch.zeros_like(logits, dtype=torch.float64)
    errors[:, :vocabulary] = probabilities
    errors[rows, tokens] -= 1
    return logarithms - real[rows, tokens], errors


def assert_right(name: str, losses: Tensor, errors: Tensor) -> None:
    of_losses, of_errors = expected(*logits_and_tokens(name), SIZES[name][1])
    torch.testing.assert_close(losses.double(), of_losses, rtol=1e-6, atol=1e-5)
    # bfloat16 has eight digits, and the interpreter does not round to the nearest.
    rounding = 2**-7 if errors.dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(errors.double(), of_errors, rtol=rounding, atol=1e-6)


@pytest.mark.parametrize("name", SIZES)
def test_formulas(name: str) -> None:
    logits, tokens = logits_and_tokens(name)
    losses, errors = by_formulas(logits.clone(), tokens, SIZES[name][1], torch.float32)
    assert errors is not None
    assert_right(name, losses, errors)
    alone, none = by_formulas(logits, tokens, SIZES[name][1], None)
    assert none is None
    assert torch.equal(alone, losses)


def test_kernels(tmp_path: Path) -> None:
    dtypes = {"bfloat16": torch.bfloat16, "float32": torch.float32, "None": None}
    outputs = interpreted(
        "interpreted_softmax",
        {
            f"{name} {dtype}": (*logits_and_tokens(name), SIZES[name][1], dtypes[dtype])
            for name in SIZES
            for dtype in dtypes
        }
        | {
            f"{name} of bfloat16": (
                logits_and_tokens(name)[0].bfloat16(),
                torch.stack([logits_and_tokens(name)[1]] * 2, dim=1)[:, 0],  # not one after the other
                SIZES[name][1],
                None,
            )
            for name in SIZES
        },
        tmp_path,
    )
    for name in SIZES:
        for dtype in ("float32", "bfloat16"):
            losses, errors = outputs[f"{name} {dtype}"]
            assert errors.dtype == dtypes[dtype]
            assert_right(name, losses, errors)
        alone, none = outputs[f"{name} None"]
        assert none is None
        assert torch.equal(alone, losses)
        of_coarse, _ = outputs[f"{name} of bfloat16"]
        logits, tokens = logits_and_tokens(name)
        right, _ = expected(logits.bfloat16(), tokens, SIZES[name][1])
        assert of_coarse.dtype == torch.float32
        torch.testing.assert_close(of_coarse.double(), right, rtol=1e-6, atol=1e-5)


def test_kernels_compile_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    of_logits = {"logits": "*fp32", "tokens": "*i64", "highest": "*fp32", "sums": "*fp32"}
    of_rows = {"logarithms": "*fp32", "losses": "*fp32", "errors": "*bf16"}
    sizes = {"width": "i32", "vocabulary": "i32", "segments": "i32"}
    for kernel, constants in (
        (softmax_kernels.segment_sums, {"segment_size": SEGMENT}),
        (softmax_kernels.row_losses, {"most_segments": 32}),
        (softmax_kernels.row_errors, {"segment_size": SEGMENT}),
    ):
        assert machine_code(kernel, of_logits | of_rows | sizes, constants)


def test_a_card_without_a_compiler_uses_the_formulas_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(*arguments: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify one.")

    kernels_on.cache_clear()
    monkeypatch.setattr(softmax, "check", no_compiler)
    with caplog.at_level(logging.WARNING):
        assert [kernels_on(torch.device("cuda", 0)) for _ in range(2)] == [None, None]
    assert [record.getMessage() for record in caplog.records] == [
        "softmax on cuda:0: without kernels of its own, hence slower: "
        "RuntimeError: Failed to find C compiler. Please specify one."
    ]
    kernels_on.cache_clear()
    assert kernels_on(torch.device("cpu")) is None


@pytest.mark.parametrize("wrong", [0, 1])
def test_kernels_that_are_wrong_are_not_used(wrong: int) -> None:
    def kernels(*arguments: object) -> tuple[Tensor, Tensor | None]:
        losses, errors = by_formulas(*arguments)  # type: ignore[arg-type]
        assert errors is not None
        (losses, errors)[wrong][2].add_(0.1)
        return losses, errors

    softmax.check(by_formulas, torch.device("cpu"))
    with pytest.raises(ArithmeticError):
        softmax.check(kernels, torch.device("cpu"))
