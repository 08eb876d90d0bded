"""Robust z: the loss is the mean over noisy copies of z, each at the norm of z."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.constraint import Constraint, Scatter
from engine.objective.option import number, whole_number

if TYPE_CHECKING:
    from torch import Tensor


def scatter(z: Tensor, draws: Tensor, level: Tensor) -> Tensor:
    """Z + level · ‖z‖ · ε / √D with standard normal ε, scaled back to the norm of z: so far as `level` says,
    relative to the norm, in the mean. # (N, C, D)
    """
    norm = z.norm(dim=-1, keepdim=True)  # (N, 1, 1)
    noisy = z + draws * (level * norm / draws.shape[-1] ** 0.5)
    held: Tensor = noisy * (norm / noisy.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    return held


CONSTRAINT = Constraint(
    "noise",
    "the loss is the mean over noisy copies of z",
    (
        whole_number("copies", 0, "noisy copies of z in each step; 0: z itself", low=0, high=1024),
        number("level", 0.1, "length of the noise, relative to the norm of z", low=0.0, high=100.0),
    ),
    scatter=Scatter("copies", "level", scatter),
)
