"""Optimizer: one optimiser, as the registry holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.objective.option import Option

if TYPE_CHECKING:
    from torch import Tensor


class Update(Protocol):
    """One update of N runs, none of which sees another.

    Nothing is changed in place and nothing is read by the host: the caller decides which runs take the
    result. The scalars of a run are float64 because those of torch.optim are Python floats.
    """

    def __call__(
        self,
        z: Tensor,
        gradient: Tensor,
        *,
        slots: Mapping[str, Tensor],
        count: Tensor,
        lr: Tensor,
        options: Mapping[str, Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new z (N, D) and the new slots.

        Args:
            z: raw z, without a graph. # (N, D)
            gradient: of each run's loss with respect to its raw z. # (N, D)
            slots: what the optimiser keeps, by name.
            count: updates made since the slots were as `Optimizer.slots` gives them. # (N, 1) int64
            lr: learning rate. # (N, 1) float64
            options: each option of the optimiser by its name. # (N, 1) float64
        """


@dataclass(frozen=True)
class Optimizer:
    """One optimiser."""

    name: str
    description: str

    slots: Callable[[Tensor], dict[str, Tensor]]
    """Maps z (N, D) to what the optimiser keeps for each run before the first update, by name. # (N, …)"""

    update: Update
    options: tuple[Option, ...] = ()
