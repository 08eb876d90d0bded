"""Updates of N runs, each by its own optimiser."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.optimizers import OPTIMIZERS, clip
from engine.spec import RunSpec
from engine.steps.per_run import per_run
from engine.steps.state import RunState


class Updates:
    """What the optimisers of N runs need besides their state, and their updates."""

    def __init__(self, specs: Sequence[RunSpec], device: torch.device) -> None:
        """Take what the specs say of their optimisers, which nothing changes afterwards."""
        self._clip_norm = per_run([spec.clip or math.inf for spec in specs], device)  # (N, 1)
        self._options = {
            name: {
                option.name: per_run([spec.number(f"{name}.{option.name}") for spec in specs], device)
                for option in optimizer.options
            }
            for name, optimizer in OPTIMIZERS.items()
        }
        self._own = {
            name: per_run([spec.optimizer == name for spec in specs], device, torch.bool)
            for name in {spec.optimizer: None for spec in specs}
        }  # (N, 1) each

    def __call__(self, state: RunState, gradient: Tensor, *, lr: Tensor, runs: Tensor) -> None:
        """Make one update of some of the runs, in place.

        Args:
            state: of all runs.
            gradient: of each run's loss with respect to its raw z. # (N, D)
            lr: (N, 1)
            runs: True for the runs that take it. # (N, 1)
        """
        clipped = clip(gradient, self._clip_norm)
        for name, own in self._own.items():
            optimizer = OPTIMIZERS[name]
            z, slots = optimizer.update(
                state.z, clipped, slots=state.slots, count=state.age, lr=lr, options=self._options[name]
            )
            state.accept(z, slots, runs=runs & own)
