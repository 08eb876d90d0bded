"""AdamW: Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019).

A run reproduces the bits of torch.optim.AdamW on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.objective.option import number
from engine.optimizers import adam
from engine.optimizers.entry import Optimizer

if TYPE_CHECKING:
    from torch import Tensor


def update(
    z: Tensor,
    gradient: Tensor,
    *,
    slots: Mapping[str, Tensor],
    count: Tensor,
    lr: Tensor,
    options: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Shrink z, then update it as Adam does; see `Update`."""
    decayed = z * (1 - lr * options["weight_decay"]).to(z.dtype)
    return adam.update(decayed, gradient, slots=slots, count=count, lr=lr, options=options)


OPTIMIZER = Optimizer(
    name="adamw",
    description="Adam, and z shrinks by lr × weight decay at every update",
    slots=adam.fresh_slots,
    update=update,
    options=(number("weight_decay", 0.01, "share of z taken off, times lr", low=0, high=100),),
)
