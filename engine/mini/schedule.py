"""AdamW with a linear warm-up, a linear decay to zero and clipped gradients."""

from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

BETAS = (0.9, 0.98)
MAX_GRADIENT_NORM = 1.0


class Schedule:
    """Steps an optimiser over a fixed number of steps; gradients are set to zero in place after each."""

    def __init__(self, groups: list[dict[str, Any]], *, warmup: int, steps: int) -> None:
        """Take parameter groups with their highest learning rate as `lr`."""
        for group in groups:
            group.setdefault("weight_decay", 0.0)
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self._optimizer = torch.optim.AdamW(groups, betas=BETAS, fused=True)
        self._scheduler = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup))),
        )

    def step(self) -> None:
        clip_grad_norm_(self._parameters, MAX_GRADIENT_NORM, foreach=True)
        self._optimizer.step()
        self._scheduler.step()
        torch._foreach_zero_([p.grad for p in self._parameters if p.grad is not None])
