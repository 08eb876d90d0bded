"""How the z of a generation's candidates come about: noise on kept ones, and a few gradient steps."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from engine.optimizers.adam import fresh_slots, update
from engine.population.judge import Judge
from engine.spec import RunSpec

_NOISE = (0.0, 2 / 7, 4 / 7, 1.0)
"""Shares of the longest noise."""

_RATES = (0.2, 0.5, 1.0)
"""Shares of the learning rate."""

_ANCHORS = (0.0, 1.0, 5.0)
"""Weights of the squared distance to the parent, relative to the parent's squared norm."""


@dataclass(frozen=True, eq=False)
class Movement:
    """The chances of one generation: which kept ones its candidates come from, and how they move."""

    parents: Tensor
    """Places of kept candidates. # (C,)"""

    noise: Tensor
    """Normal draws, so long that their norm is that relative to the parent's, in the mean. # (C, D)"""

    rates: Tensor
    """What the learning rate is multiplied by. # (C, 1) float64"""

    anchors: Tensor
    """Weight of the distance to the parent. # (C,)"""

    steps: int
    """Gradient steps."""

    @classmethod
    def drawn(
        cls, spec: RunSpec, draws: np.random.Generator, *, kept: int, dim: int, device: torch.device
    ) -> Self:
        """Draw the chances of a generation that follows so many kept candidates of D dimensions."""
        count = int(spec.number("population.candidates"))
        levels = spec.number("population.noise") * draws.choice(_NOISE, (count, 1))
        noise = draws.standard_normal((count, dim), np.float32) * (levels / dim**0.5)
        most = int(spec.number("population.gradient_steps"))
        return cls(
            parents=torch.from_numpy(places(draws, count, among=kept)).to(device),
            noise=torch.from_numpy(noise.astype(np.float32)).to(device),
            rates=torch.from_numpy(draws.choice(_RATES, (count, 1))).to(device),
            anchors=torch.from_numpy(draws.choice(_ANCHORS, count).astype(np.float32)).to(device),
            steps=int(draws.choice([2**power for power in range(most.bit_length())])),
        )

    def of(self, kept: Tensor, judge: Judge, *, lr: float) -> Tensor:
        """The candidates that come from kept ones (K, D). # (C, D)"""
        base = kept[self.parents]  # (C, D)
        norm = base.norm(dim=-1, keepdim=True)  # (C, 1)

        def anchored(raw: Tensor, piece: slice) -> tuple[Tensor, Tensor]:
            z = _held(raw, norm[piece])
            distance = (z - base[piece]).square().sum(dim=-1) / norm[piece, 0].square()  # (c,)
            return z, self.anchors[piece] * distance

        z = base + self.noise * norm
        slots = fresh_slots(z)
        for step in range(self.steps):
            gradient = judge.gradient(z, anchored)
            count = torch.full((len(z), 1), step, device=z.device)
            z, slots = update(z, gradient, slots=slots, count=count, lr=lr * self.rates, options={})
        return _held(z, norm)


def _held(raw: Tensor, norm: Tensor) -> Tensor:
    """Raw z (C, D) scaled to a norm (C, 1). # (C, D)"""
    held: Tensor = raw * (norm / raw.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    return held


def places(draws: np.random.Generator, count: int, *, among: int) -> "np.typing.NDArray[np.int64]":
    """Places in a list, the first of it more often: ⌊u² n⌋ with uniform u."""
    return (draws.random(count) ** 2 * among).astype(np.int64)
