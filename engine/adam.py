"""Adam for N runs at once, each with its own learning rate and step count."""

import torch
from torch import Tensor

from engine.state import RunState

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@torch.no_grad()
def adam_update(state: RunState, gradient: Tensor, runs: Tensor) -> None:
    """Make one update of some of the runs, in place.

    Algorithm 1 of Kingma & Ba, "Adam: A Method for Stochastic Optimization" (ICLR 2015). The operations
    stand in the order of torch.optim.Adam, whose bits a run therefore reproduces on the CPU.

    Args:
        state: of N runs.
        gradient: of each run's loss with respect to its raw z. # (N, D)
        runs: True for the runs to update. # (N, 1)
    """
    count = state.count + 1
    first_moment = state.first_moment.lerp(gradient, 1 - BETA1)
    second_moment = (state.second_moment * BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    # The per-run scalars are float64 up to here because torch.optim.Adam's are Python floats.
    step_size = (state.lr / (1 - BETA1 ** count.double())).to(gradient.dtype)  # (N, 1)
    correction = (1 - BETA2 ** count.double()).sqrt().to(gradient.dtype)  # (N, 1)
    denominator = (second_moment.sqrt() / correction).add_(EPSILON)
    z = state.z.addcdiv(first_moment * step_size, denominator, value=-1)
    for old, new in (
        (state.z, z),
        (state.first_moment, first_moment),
        (state.second_moment, second_moment),
        (state.count, count),
    ):
        old.copy_(torch.where(runs, new, old))
