"""Kernels of this project's own, where a card can compile them."""

import logging
import traceback
from collections.abc import Callable
from typing import TypeVar

import torch

Kernels = TypeVar("Kernels")

_CARD_IS_FULL = "Triton Error [CUDA]: out of memory"
"""What Triton says while it loads a kernel, for which the driver needs memory of its own."""


def compiled(
    what: str, device: torch.device, load: Callable[[], Kernels], check: Callable[[Kernels], None]
) -> Kernels | None:
    """Kernels that were tried, or None where there are none: off cards, without Triton or a C compiler.

    What torch.compile compiles must not ask for them: it makes its own.

    Args:
        what: they compute.
        device: where.
        load: imports them.
        check: runs them, and raises ArithmeticError if they are wrong.

    Raises:
        torch.OutOfMemoryError: the card is full for now, which says nothing about the kernels.
    """
    if device.type != "cuda":
        return None
    try:
        with torch.inference_mode(mode=False):  # whoever asks first may be in it; a check may differentiate
            kernels = load()
            check(kernels)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the compiler's, the driver's or the system's: none is a reason to stop
        if _CARD_IS_FULL in str(error):
            _load_again(error)
            raise torch.OutOfMemoryError(str(error)) from error
        reason = " ".join(str(error).split())[:200]
        logging.getLogger(__name__).warning(
            "%s on %s: without kernels of its own, hence slower: %s: %s",
            what,
            device,
            type(error).__name__,
            reason,
        )
        return None
    return kernels


def _load_again(error: Exception) -> None:
    """Have Triton load what it could not: it would go on to launch that as if it were loaded."""
    from triton.compiler import CompiledKernel

    for frame, _ in traceback.walk_tb(error.__traceback__):
        kernel = frame.f_locals.get("self")
        if isinstance(kernel, CompiledKernel) and kernel.module is None:
            kernel._run = None


def drawn(*shape: int, device: torch.device) -> torch.Tensor:
    """Normally distributed numbers, the same ones every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(device)


def check_alike(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Raise ArithmeticError where values differ by more than a share of them, or of 1."""
    if not torch.allclose(found.float(), expected.float(), rtol=tolerance, atol=tolerance):
        raise ArithmeticError("its values are wrong")
