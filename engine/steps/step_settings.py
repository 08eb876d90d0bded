"""Learning rates and weights of a step: as the specs of N runs say, or as its rows were recorded."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from engine.schedule import Plateau, parse_schedule, plateau_update
from engine.spec import RunSpec
from engine.steps.per_run import per_run, to_device
from engine.steps.state import RunState


class StepSettings:
    """What the next step of N runs is made with. A step that was captured reads it where it lies."""

    def __init__(self, specs: Sequence[RunSpec], state: RunState) -> None:
        """Args:
        specs: of the runs, with what is in force: what replaces them is seen once it is taken up.
        state: of the runs.
        """
        self._specs, self._state = specs, state
        self._as_recorded: dict[int, tuple[float, dict[str, float]]] = {}
        self._terms: Sequence[str] = ()
        self.lr = state.lr.clone()
        """Learning rates. # (N, 1) float64"""
        self.weights = torch.empty(0)
        """Weights of the terms. # (N, K)"""
        self._weights_of_as_many: dict[int, Tensor] = {}
        """By K: terms may come and go between two steps, and those that come back lie where they lay."""
        self._plateau_factor = self._per_run([1.0] * len(specs))  # (N, 1)
        self._plateau_patience = self._per_run([math.inf] * len(specs))  # (N, 1)

    def take_up(self, terms: Sequence[str], steps: Sequence[int]) -> None:
        """Take up what the specs say by now.

        Args:
            terms: that some run has.
            steps: of each run: the step whose row comes next.
        """
        self._terms = terms
        self._plateaus = [
            parse_schedule(spec.schedules.get("lr", "constant"), of="lr") for spec in self._specs
        ]
        self.has_plateaus = any(isinstance(plateau, Plateau) for plateau in self._plateaus)
        """Whether some run's learning rate depends on its losses."""
        factors = [plateau.factor if isinstance(plateau, Plateau) else 1.0 for plateau in self._plateaus]
        self._plateau_factor.copy_(self._per_run(factors))
        self._plateau_patience.copy_(self._patience(steps))
        weights = self._weights(steps)
        self.weights = self._weights_of_as_many.setdefault(len(terms), weights).copy_(weights)

    def prepare(self, steps: Sequence[int]) -> None:
        """Take up the learning rates and weights of the next step."""
        if not self._as_recorded and not any(spec.schedules for spec in self._specs):
            self.lr.copy_(self._state.lr)
            return
        rates = [
            self._as_recorded[run][0] if run in self._as_recorded else spec.lr_at(steps[run])
            for run, spec in enumerate(self._specs)
        ]
        self.weights.copy_(self._weights(steps))
        lr = self._per_run(rates)
        if self.has_plateaus:
            self._plateau_patience.copy_(self._patience(steps))
            recorded = [run in self._as_recorded for run in range(len(self._specs))]
            is_recorded = self._per_run(recorded, torch.bool)  # (N, 1)
            lr = torch.where(is_recorded, lr, lr * self._state.plateau[:, 2:])
        self.lr.copy_(lr)

    def watch(self, loss: Tensor, *, runs: Tensor) -> None:
        """Let the plateaus of some runs (N, 1) see the losses of a step (N,)."""
        if self.has_plateaus:
            plateau = self._state.plateau
            after = plateau_update(plateau, loss.detach(), self._plateau_factor, self._plateau_patience)
            plateau.copy_(torch.where(runs, after, plateau))

    def terms_of(self, run: int) -> tuple[str, ...]:
        """Names of a run's terms in its next row."""
        return tuple(self._as_recorded[run][1]) if run in self._as_recorded else self._specs[run].terms

    def weights_of(self, run: int, step: int) -> Mapping[str, float]:
        """The weights of a run's terms in its next row, that of a step."""
        return self._as_recorded[run][1] if run in self._as_recorded else self._specs[run].weights_at(step)

    # Rows that were recorded

    @property
    def has_recorded(self) -> bool:
        """Whether some run's next row is made with what it was recorded with."""
        return bool(self._as_recorded)

    def repeat(self, run: int, *, lr: float, weights: Mapping[str, float]) -> bool:
        """Make a run's next rows with what one was recorded with; True where it had other terms."""
        of_terms = {name: weight for name, weight in weights.items() if weight}
        changed = of_terms.keys() != set(self.terms_of(run))
        self._as_recorded[run] = (lr, of_terms)
        return changed

    def go_by_spec(self, run: int) -> None:
        """Make a run's next rows with what its spec says."""
        self._as_recorded.pop(run, None)

    def _weights(self, steps: Sequence[int]) -> Tensor:
        """Weights of the terms in the next rows. # (N, K)"""
        weights = [self.weights_of(run, step) for run, step in enumerate(steps)]
        table = [[of_run.get(term, 0.0) for term in self._terms] for of_run in weights]
        return to_device(torch.tensor(table, dtype=torch.float32), self._state.z.device)

    def _patience(self, steps: Sequence[int]) -> Tensor:
        """Steps without a lower loss that each plateau bears; infinite where there is none yet. # (N, 1)"""
        return self._per_run(
            [
                plateau.patience if isinstance(plateau, Plateau) and step >= plateau.origin else math.inf
                for plateau, step in zip(self._plateaus, steps, strict=True)
            ]
        )

    def _per_run(self, values: Sequence[float], dtype: torch.dtype = torch.float64) -> Tensor:
        return per_run(values, self._state.z.device, dtype)
