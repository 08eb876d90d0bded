"""Gradient clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_EPSILON = 1e-6


def clip(gradient: Tensor, max_norm: Tensor) -> Tensor:
    """Scale down each run's gradient to an L2 norm, where its own is larger. # (N, D)

    The formula of torch.nn.utils.clip_grad_norm_: g · min(1, max_norm / (‖g‖ + 10⁻⁶)).

    Args:
        gradient: (N, D)
        max_norm: infinite where a run's gradient is not clipped. # (N, 1)
    """
    norm = gradient.norm(dim=-1, keepdim=True)  # (N, 1)
    factor: Tensor = ((norm + _EPSILON).reciprocal() * max_norm.to(gradient.dtype)).clamp_max(1)
    return gradient * factor
