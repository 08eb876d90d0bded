"""The product of a transformer's two inner projections, one of them through an activation (Shazeer 2020)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import SiLUActivation

from engine.fast.compiled import check_alike, compiled, drawn


@dataclass(frozen=True)
class Kernels:
    """One pass over the projections on the way forth, and one on the way back."""

    forward: Callable[[Tensor], Tensor]
    """Of (M, 2 · F): silu of the first half, times the second. # (M, F)"""

    backward: Callable[[Tensor, Tensor], Tensor]
    """Of that and the gradient of its result (M, F). # (M, 2 · F)"""


def gated(gate_up: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Return activation(gate) · up, differentiable once.

    Args:
        gate_up: both one after the other. # (…, 2 · F)
        activation: of each coordinate.

    Returns:
        (…, F)
    """
    is_silu = isinstance(activation, (nn.SiLU, SiLUActivation))
    kernels = kernels_on(gate_up.device) if is_silu and not torch.compiler.is_compiling() else None
    if kernels is None:
        return by_torch(gate_up, activation)
    product: Tensor = _Gated.apply(gate_up, kernels)  # type: ignore[no-untyped-call]
    return product


def by_torch(gate_up: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """The same, one operation after the other."""
    gate, up = gate_up.chunk(2, dim=-1)
    return activation(gate) * up


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor, kernels: Kernels) -> Tensor:
        gate_up = gate_up.contiguous()
        ctx.kernels = kernels
        ctx.save_for_backward(gate_up)
        return kernels.forward(gate_up)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gate_up,) = ctx.saved_tensors
        return ctx.kernels.backward(gate_up, gradients[0].contiguous()), None


@cache
def kernels_on(device: torch.device) -> Kernels | None:
    """Kernels for SiLU; None where there are none."""

    def load() -> Kernels:
        from engine.fast.gated_kernels import backward, forward

        return Kernels(forward, backward)

    return compiled("gated activation", device, load, lambda kernels: check(kernels, device))


def check(kernels: Kernels, device: torch.device) -> None:
    """Compare with torch's own, on a few values.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    whole = drawn(3, 5, 384, device=device) * 3
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 5e-2)):
        gate_up, gradient = whole[:2].reshape(5, 768).to(dtype), whole[2].to(dtype)
        with torch.inference_mode(mode=False), torch.enable_grad():  # type: ignore[no-untyped-call]
            where = gate_up.clone().requires_grad_()
            expected = by_torch(where, F.silu)
            (of_expected,) = torch.autograd.grad(expected, where, gradient.clone())
        check_alike(kernels.forward(gate_up), expected.detach(), tolerance)
        check_alike(kernels.backward(gate_up, gradient), of_expected, tolerance)
