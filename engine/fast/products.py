"""Products of a few rows with a frozen weight: in float32 by kernels of its own on a card, otherwise torch's.

Reading the weight is nearly all the work of such a product, and cuBLAS's float32 kernels do it at a third to
a half of the memory's speed. These multiply on tensor cores, float32 as three products of TF32, and keep
float32's accuracy (Ootomo & Yokota 2022, "Recovering single precision accuracy from Tensor Cores while
surpassing the FP32 theoretical peak performance"; CUTLASS's example 27 does the same). What
`torch.backends.cuda.matmul.allow_tf32` says is about torch's own products, in plain TF32, and not about them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.fast.compiled import check_alike, compiled, drawn


@dataclass(frozen=True)
class Kernels:
    """A product with a weight (F, D) and one with its transpose."""

    forward: Callable[[Tensor, Tensor, Tensor | None, bool], Tensor]
    """Of (M, D), the weight, a bias (F,) or None, and whether what is negative becomes 0. # (M, F)"""

    backward: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    """Of a gradient (M, F), the weight, and the result (M, F) where what is not above 0 has none. # (M, D)"""

    are_for: Callable[[Tensor, Tensor], bool]
    """Whether they take rows (M, …) and a weight."""


def linear(hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return W h + b, differentiable in the hidden states alone, once.

    Args:
        hidden: (…, D)
        weight: (F, D)
        bias: (F,)

    Returns:
        (…, F)
    """
    kernels = _kernels_for(hidden, weight)
    if kernels is None:
        return F.linear(hidden, weight, bias)
    return _applied(hidden, weight, bias, False, kernels)


def linear_relu(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return max(0, W h + b), differentiable in the hidden states alone, once.

    Args:
        hidden: (…, D)
        weight: (F, D)
        bias: (F,)

    Returns:
        (…, F)
    """
    if torch.compiler.is_compiling():
        return F.linear(hidden, weight, bias).relu()
    return _applied(hidden, weight, bias, True, _kernels_for(hidden, weight) or BY_TORCH)


def product_with_transpose(gradient: Tensor, weight: Tensor) -> Tensor:
    """Wᵀ g, not differentiable. # (M, F), (F, D) to (M, D)"""
    return (_kernels_for(gradient, weight) or BY_TORCH).backward(gradient, weight, None)


def _kernels_for(rows: Tensor, weight: Tensor) -> Kernels | None:
    # What compiles the layers around it knows torch's own, and not these kernels.
    kernels = None if torch.compiler.is_compiling() else kernels_on(weight.device)
    return kernels if kernels is not None and kernels.are_for(rows, weight) else None


def _applied(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, is_rectified: bool, kernels: Kernels
) -> Tensor:
    result: Tensor = _Linear.apply(  # type: ignore[no-untyped-call]
        hidden.reshape(-1, hidden.shape[-1]), weight, bias, is_rectified, kernels
    )
    return result.view(*hidden.shape[:-1], len(weight))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, is_rectified: bool, kernels: Kernels
    ) -> Tensor:
        result = kernels.forward(hidden, weight, bias, is_rectified)
        ctx.kernels = kernels
        ctx.save_for_backward(weight, result if is_rectified else None)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, active = ctx.saved_tensors
        return ctx.kernels.backward(gradients[0], weight, active), None, None, None, None


def _forward_by_torch(hidden: Tensor, weight: Tensor, bias: Tensor | None, is_rectified: bool) -> Tensor:
    if is_rectified and bias is not None:
        return torch._addmm_activation(bias, hidden, weight.T)  # on a card one kernel
    result = F.linear(hidden, weight, bias)
    return result.relu() if is_rectified else result


def _backward_by_torch(gradient: Tensor, weight: Tensor, active: Tensor | None) -> Tensor:
    if active is not None:
        gradient = torch.ops.aten.threshold_backward(gradient, active, 0)
    return gradient @ weight


BY_TORCH = Kernels(_forward_by_torch, _backward_by_torch, lambda rows, weight: True)
"""The same by what torch chooses."""


@cache
def kernels_on(device: torch.device) -> Kernels | None:
    """Kernels for few rows; None where there are none."""

    def load() -> Kernels:
        from engine.fast.products_kernels import are_for, backward, forward

        return Kernels(forward, backward, are_for)

    return compiled("matrix products", device, load, lambda kernels: check(kernels, device))


def check(kernels: Kernels, device: torch.device) -> None:
    """Compare with torch's own, in float64.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    rows, dim, outputs = 17, 256, 640
    hidden, gradient = drawn(rows, dim, device=device), drawn(rows, outputs, device=device)
    weight, bias = drawn(outputs, dim, device=device), drawn(outputs, device=device)
    for is_rectified in (False, True):
        expected = F.linear(hidden.double(), weight.double(), bias.double())
        if is_rectified:
            expected = expected.relu()
        check_alike(kernels.forward(hidden, weight, bias, is_rectified), expected, 1e-4)
        passed = gradient * (expected > 0) if is_rectified else gradient
        active = expected.float() if is_rectified else None
        check_alike(kernels.backward(gradient, weight, active), passed.double() @ weight.double(), 1e-4)
