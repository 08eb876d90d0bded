"""The loss over copies of z: its mean and its gradient, in as many pieces as the memory asks for."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.objective import CONSTRAINTS
from engine.objective.constraint import Constraint
from engine.spec import RunSpec
from engine.steps.per_run import to_device

Terms = Callable[[Tensor, int], Tensor]
"""Maps effective z of C copies of each of N runs (N · C, D), and C, to their terms. # (N · C, K)"""


class Scattering:
    """The copies of z that some of N runs ask for."""

    def __init__(self, specs: Sequence[RunSpec], dim: int, device: torch.device) -> None:
        """Args:
        specs: of the runs.
        dim: D
        device: of z.
        """
        self._seeds = [spec.seed for spec in specs]
        self._constraint: Constraint | None = None
        for constraint in CONSTRAINTS.values():
            if constraint.scatter is not None:
                counts = [spec.number(f"{constraint.name}.{constraint.scatter.copies}") for spec in specs]
                if any(counts):
                    self._constraint = constraint
                    levels = [
                        spec.number(f"{constraint.name}.{constraint.scatter.level}") if count else 0.0
                        for spec, count in zip(specs, counts, strict=True)
                    ]
                    self._levels = torch.tensor(levels, device=device).view(-1, 1, 1)
                    self._shares = _shares([int(count) for count in counts], device)  # (N, C)
        if self._constraint:
            # A step that was captured reads it where it lies.
            self._draws = torch.zeros(*self._shares.shape, dim, device=device)  # (N, C, D)
            self._at_once = self._shares.shape[1]

    @property
    def is_on(self) -> bool:
        """Whether some run asks for copies."""
        return self._constraint is not None

    def draw(self, steps: Sequence[int]) -> None:
        """Draw the next step's copies: standard normal numbers, from a run's seed and step alone.

        Args:
            steps: of the runs: a step's copies are the same whenever it is made.
        """
        if self._constraint is None:
            return
        shape = tuple(self._draws.shape[1:])
        drawn = [
            # Philox numbers its streams by its key: no two steps of a seed share one.
            np.random.Generator(np.random.Philox(key=[seed, step])).standard_normal(shape, np.float32)
            for seed, step in zip(self._seeds, steps, strict=True)
        ]
        self._draws.copy_(to_device(torch.from_numpy(np.stack(drawn)), self._draws.device))

    def terms_and_gradient(
        self,
        raw_z: Tensor,
        *,
        effective: Callable[[Tensor], Tensor],
        terms_of: Terms,
        weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Mean of the terms over the copies, and the gradient of their weighted sum.

        The copies are passed through the models together, or in smaller pieces from the moment on when the
        memory of the card does not hold them.

        Args:
            raw_z: (N, D)
            effective: maps raw z to effective z.
            terms_of: the terms of some copies.
            weights: of the terms. # (N, K)

        Returns:
            (N, K) and (N, D)
        """
        assert self._constraint is not None
        assert self._constraint.scatter is not None
        copies, first = self._draws.shape[1], 0
        terms, gradient = torch.zeros_like(weights), torch.zeros_like(raw_z)
        while first < copies:
            piece = slice(first, min(first + self._at_once, copies))
            try:
                z = effective(raw_z).unsqueeze(1)  # (N, 1, D)
                noisy = self._constraint.scatter.of(z, self._draws[:, piece], self._levels)  # (N, c, D)
                found = terms_of(noisy.flatten(0, 1), noisy.shape[1])  # (N · c, K)
                by_run = found.view(*noisy.shape[:2], -1)  # (N, c, K)
                mean = (by_run * self._shares[:, piece].unsqueeze(-1)).sum(dim=1)  # (N, K)
                (part,) = torch.autograd.grad((mean * weights).sum(), raw_z)
            except torch.OutOfMemoryError:
                if self._at_once == 1 or _is_captured(raw_z):
                    raise
                self._at_once = (piece.stop - piece.start + 1) // 2
                torch.cuda.empty_cache()
                continue
            terms, gradient, first = terms + mean.detach(), gradient + part, piece.stop
        return terms, gradient


def _shares(counts: Sequence[int], device: torch.device) -> Tensor:
    """What each copy counts in its run's mean. # (N, C)

    A run that asks for none has z itself as its one.
    """
    of_run = torch.tensor([max(count, 1) for count in counts], device=device).unsqueeze(-1)
    copies = torch.arange(max(counts), device=device)
    return (copies < of_run) / of_run


def _is_captured(tensor: Tensor) -> bool:
    """Whether what is done on a tensor's device is not done yet, but captured."""
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()
