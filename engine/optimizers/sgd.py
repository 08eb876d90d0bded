"""Stochastic gradient descent with momentum, as torch.optim.SGD has it: no dampening, not Nesterov's.

A run reproduces torch's bits on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.objective.option import number
from engine.optimizers.entry import Optimizer

if TYPE_CHECKING:
    from torch import Tensor


def fresh_slots(z: Tensor) -> dict[str, Tensor]:
    """The sum of the gradients, each fading by `momentum` at every update. # (N, D)"""
    return {"momentum_buffer": z.new_zeros(z.shape)}


def update(
    z: Tensor,
    gradient: Tensor,
    *,
    slots: Mapping[str, Tensor],
    count: Tensor,
    lr: Tensor,
    options: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """One update; see `Update`."""
    momentum_buffer = slots["momentum_buffer"] * options["momentum"].to(z.dtype) + gradient
    # As torch's own z.add_(…, alpha=-lr), addcmul rounds once, after the addition.
    new_z = z.addcmul(momentum_buffer, -lr.to(z.dtype))
    return new_z, {"momentum_buffer": momentum_buffer}


OPTIMIZER = Optimizer(
    name="sgd",
    description="gradient descent with momentum",
    slots=fresh_slots,
    update=update,
    options=(number("momentum", 0.9, "share of the last step that is added to the next", low=0, high=1),),
)
