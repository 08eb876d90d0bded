"""Round-trip projection: every k steps z becomes what its own text is as an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.constraint import Constraint, Move
from engine.objective.option import choice, whole_number

if TYPE_CHECKING:
    from torch import Tensor


def project(z: Tensor, round_trip: Tensor) -> Tensor:
    """Z ← encode(decode(z)). # (N, D)"""
    return round_trip


CONSTRAINT = Constraint(
    "projection",
    "every k steps z is put to encode(decode(z))",
    (
        whole_number("every", 0, "steps from one projection to the next; 0: none", low=0, high=10_000_000),
        choice("moments", "keep", "the optimiser's state after a projection", among=("keep", "reset")),
    ),
    move=Move("every", project, lambda moments: moments == "reset"),
)
