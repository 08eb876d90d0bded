"""Causal self-attention of short texts, whose queries, keys and values come out of one projection."""

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
    """One pass over the joint projection on the way forth, and one on the way back."""

    forward: Callable[[Tensor, int], Tensor]
    """Of (N, T, 3 · D) and the number of heads. # (N, T, D)"""

    backward: Callable[[Tensor, Tensor, int], Tensor]
    """Of that, the gradient of its result (N, T, D), and the number of heads. # (N, T, 3 · D)"""

    are_for: Callable[[Tensor, int], bool]
    """Whether they take a joint projection (N, T, 3 · D) of some heads: not where a text is long."""


def causal_attention(joint: Tensor, heads: int) -> Tensor:
    """Let every position attend to itself and those before it.

    Args:
        joint: queries, keys and values one after the other, each of all heads. # (N, T, 3 · D)
        heads: that D is divided among.

    Returns:
        (N, T, D)
    """
    # What compiles the layers around it knows torch's own, and not these kernels.
    kernels = None if torch.compiler.is_compiling() else kernels_on(joint.device)
    if kernels is None or not kernels.are_for(joint, heads):
        return by_torch(joint, heads)
    attended: Tensor = _CausalAttention.apply(joint, heads, kernels)  # type: ignore[no-untyped-call]
    return attended


def by_torch(joint: Tensor, heads: int) -> Tensor:
    """The same by what torch chooses."""
    by_head = joint.view(*joint.shape[:2], 3, heads, -1).transpose(1, 3)  # (N, heads, 3, T, head_dim)
    query, key, value = by_head.unbind(2)
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    return attended.transpose(1, 2).flatten(2)


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, joint: Tensor, heads: int, kernels: Kernels) -> Tensor:
        joint = joint.contiguous()
        ctx.heads, ctx.kernels = heads, kernels
        ctx.save_for_backward(joint)
        return kernels.forward(joint, heads)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (joint,) = ctx.saved_tensors
        return ctx.kernels.backward(joint, gradients[0].contiguous(), ctx.heads), None, None


@cache
def kernels_on(device: torch.device) -> Kernels | None:
    """Kernels for short texts; None where there are none."""

    def load() -> Kernels:
        from engine.fast.attention_kernels import are_for, backward, forward

        return Kernels(forward, backward, are_for)

    return compiled("attention", device, load, lambda kernels: check(kernels, device))


def check(kernels: Kernels, device: torch.device) -> None:
    """Compare with torch's own, on two short texts.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    heads, head_dim, positions = 2, 64, 17
    whole = drawn(2, positions, 4, heads * head_dim, device=device)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 3e-2)):
        joint = whole[:, :, :3].flatten(2).to(dtype).contiguous()
        gradient = whole[:, :, 3].to(dtype).contiguous()
        if not kernels.are_for(joint, heads):
            continue
        with torch.inference_mode(mode=False), torch.enable_grad():  # type: ignore[no-untyped-call]
            where = joint.clone().requires_grad_()
            expected = by_torch(where, heads)
            (of_expected,) = torch.autograd.grad(expected, where, gradient.clone())
        check_alike(kernels.forward(joint, heads), expected.detach(), tolerance)
        check_alike(kernels.backward(joint, gradient, heads), of_expected, tolerance)
