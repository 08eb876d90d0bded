"""Products of a few rows with a frozen weight: on a card mostly by kernels of its own, otherwise torch's.

Reading the weight is nearly all the work of such a product. With several rows, cuBLAS's float32 kernels do it
at a third to a half of the memory's speed. These multiply on tensor cores, float32 as three products of TF32,
and keep float32's accuracy (Ootomo & Yokota 2022, "Recovering single precision accuracy from Tensor Cores
while surpassing the FP32 theoretical peak performance"; CUTLASS's example 27 does the same). What
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

    are_for_forward: Callable[[Tensor, Tensor], bool]
    """Whether `forward` takes rows (…, D) and a weight."""

    are_for_backward: Callable[[Tensor, Tensor], bool]
    """Whether `backward` takes rows (…, F) and a weight."""


def linear(hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return W h + b, differentiable in the hidden states alone, once.

    Args:
        hidden: (…, D)
        weight: (F, D)
        bias: (F,)

    Returns:
        (…, F)
    """
    # What compiles the layers around it knows torch's own, and not these kernels.
    kernels = None if torch.compiler.is_compiling() else kernels_on(weight.device)
    if kernels is None or not kernels.are_for_forward(hidden, weight):
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
    kernels = kernels_on(weight.device)
    if kernels is None or not kernels.are_for_forward(hidden, weight):
        kernels = BY_TORCH
    return _applied(hidden, weight, bias, True, kernels)


def product_with_transpose(gradient: Tensor, weight: Tensor) -> Tensor:
    """Wᵀ g, not differentiable. # (M, F), (F, D) to (M, D)"""
    return _back(kernels_on(weight.device) or BY_TORCH, gradient, weight, None)


def _back(kernels: Kernels, gradient: Tensor, weight: Tensor, active: Tensor | None) -> Tensor:
    chosen = kernels if kernels.are_for_backward(gradient, weight) else BY_TORCH
    return chosen.backward(gradient, weight, active)


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
        return _back(ctx.kernels, gradients[0], weight, active), None, None, None, None


def _forward_by_torch(hidden: Tensor, weight: Tensor, bias: Tensor | None, is_rectified: bool) -> Tensor:
    if is_rectified and bias is not None:
        return torch._addmm_activation(bias, hidden, weight.T)  # on a card one kernel
    result = F.linear(hidden, weight, bias)
    return result.relu() if is_rectified else result


def _backward_by_torch(gradient: Tensor, weight: Tensor, active: Tensor | None) -> Tensor:
    if active is not None:
        gradient = torch.ops.aten.threshold_backward(gradient, active, 0)
    return gradient @ weight


BY_TORCH = Kernels(
    _forward_by_torch, _backward_by_torch, lambda hidden, weight: True, lambda gradient, weight: True
)
"""The same by what torch chooses."""


@cache
def kernels_on(device: torch.device) -> Kernels | None:
    """Kernels for few rows; None where there are none."""

    def load() -> Kernels:
        from engine.fast.products_kernels import are_for_backward, are_for_forward, backward, forward

        return Kernels(forward, backward, are_for_forward, are_for_backward)

    return compiled("matrix products", device, load, lambda kernels: check(kernels, device))


def check(kernels: Kernels, device: torch.device) -> None:
    """Compare with torch's own in float64: one row, few and many, weights that are narrow and wide.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    dim = 512
    for dtype, rows, outputs, is_rectified in (
        (torch.float32, 1, 640, True),
        (torch.bfloat16, 1, 640, False),
        (torch.float32, 17, 640, True),
        (torch.float32, 64, 640, False),
        (torch.float32, 17, 17_024, False),
    ):
        tolerance = 1e-4 if dtype == torch.float32 else 2e-2
        hidden = (drawn(rows, dim, device=device) / dim**0.5).to(dtype)
        gradient = (drawn(rows, outputs, device=device) / outputs**0.5).to(dtype)
        weight = drawn(outputs, dim, device=device).to(dtype)
        bias = drawn(outputs, device=device).to(dtype) if is_rectified else None
        expected = F.linear(hidden.double(), weight.double(), None if bias is None else bias.double())
        passed, active = gradient, None
        if is_rectified:
            passed, expected = gradient * (expected > 0), expected.relu()
            active = expected.to(dtype)
        check_alike(kernels.forward(hidden, weight, bias, is_rectified), expected, tolerance)
        if kernels.are_for_backward(gradient, weight):
            of_expected = passed.double() @ weight.double()
            check_alike(kernels.backward(gradient, weight, active), of_expected, tolerance)
