"""Adam: Algorithm 1 of Kingma & Ba, "Adam: A Method for Stochastic Optimization" (ICLR 2015).

The operations stand in the order of torch.optim.Adam, whose bits a run therefore reproduces on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.optimizers.entry import Optimizer

if TYPE_CHECKING:
    from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def fresh_slots(z: Tensor) -> dict[str, Tensor]:
    """The running means of the gradient and of its square. # (N, D)"""
    return {"first_moment": z.new_zeros(z.shape), "second_moment": z.new_zeros(z.shape)}


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
    updates = (count + 1).double()  # (N, 1)
    first_moment = slots["first_moment"].lerp(gradient, 1 - BETA1)
    second_moment = (slots["second_moment"] * BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    step_size = (lr / (1 - BETA1**updates)).to(z.dtype)  # (N, 1)
    correction = (1 - BETA2**updates).sqrt().to(z.dtype)  # (N, 1)
    denominator = (second_moment.sqrt() / correction).add_(EPSILON)
    new_z = z.addcdiv(first_moment * step_size, denominator, value=-1)
    return new_z, {"first_moment": first_moment, "second_moment": second_moment}


OPTIMIZER = Optimizer(
    name="adam",
    description="Adam: each coordinate's step is scaled by its gradients so far",
    slots=fresh_slots,
    update=update,
)
