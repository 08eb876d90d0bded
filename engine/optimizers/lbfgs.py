"""L-BFGS: algorithms 7.4 and 7.5 of Nocedal & Wright, "Numerical Optimization" (2nd edition, 2006).

One direction an update, with step length lr and no line search, as torch.optim.LBFGS(max_iter=1) makes it;
torch's stopping tolerances are left out, for it is the run that says how many updates are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.optimizers.entry import Optimizer

if TYPE_CHECKING:
    from torch import Tensor

HISTORY = 10
"""Pairs of a step and the gradient's change over it that are kept."""

MIN_CURVATURE = 1e-10
"""A pair whose product is not above it is not kept: the approximate Hessian stays positive definite."""


def fresh_slots(z: Tensor) -> dict[str, Tensor]:
    """The newest pairs, the newest last, 0 where there is none yet; and what the next pair begins from."""
    pairs = (len(z), HISTORY, z.shape[-1])
    return {
        "steps": z.new_zeros(pairs),  # (N, H, D)
        "gradient_changes": z.new_zeros(pairs),  # (N, H, D)
        "previous_z": z.new_zeros(z.shape),  # (N, D)
        "previous_gradient": z.new_zeros(z.shape),  # (N, D)
    }


def update(
    z: Tensor,
    gradient: Tensor,
    *,
    slots: Mapping[str, Tensor],
    count: Tensor,
    lr: Tensor,
    options: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """One update; see `Update`."""
    # The difference, not the step last made: between two updates z may have been moved by others.
    step = z - slots["previous_z"]
    change = gradient - slots["previous_gradient"]
    is_kept = (count > 0) & (_dot(step, change) > MIN_CURVATURE)  # (N, 1)
    steps = _appended(slots["steps"], step, is_kept)
    changes = _appended(slots["gradient_changes"], change, is_kept)

    first_factor = gradient.abs().sum(dim=-1, keepdim=True).reciprocal().clamp_max(1)  # (N, 1)
    length = lr * first_factor.where(count == 0, 1.0)
    new_z = z.addcmul(_direction(gradient, steps, changes), length.to(z.dtype))
    # A copy, for the caller may write the new z over the old one.
    return new_z, {
        "steps": steps,
        "gradient_changes": changes,
        "previous_z": z.clone(),
        "previous_gradient": gradient,
    }


def _direction(gradient: Tensor, steps: Tensor, changes: Tensor) -> Tensor:
    """Minus the approximate inverse Hessian times the gradient, by the two loops of algorithm 7.4. # (N, D)

    A pair that is not there yet has an inverse curvature of 0 and changes nothing.
    """
    curvatures = _dot(steps, changes)  # (N, H, 1)
    inverse_curvatures = curvatures.reciprocal().where(curvatures > 0, 0.0)  # (N, H, 1)
    direction = gradient.neg()
    shares = []
    for pair in reversed(range(HISTORY)):
        share = _dot(steps[:, pair], direction) * inverse_curvatures[:, pair]  # (N, 1)
        direction = direction - changes[:, pair] * share
        shares.append(share)
    newest = changes[:, -1]
    scale = (curvatures[:, -1] / _dot(newest, newest)).where(curvatures[:, -1] > 0, 1.0)  # (N, 1)
    direction = direction * scale
    for pair, share in enumerate(reversed(shares)):
        correction = _dot(changes[:, pair], direction) * inverse_curvatures[:, pair]  # (N, 1)
        direction = direction + steps[:, pair] * (share - correction)
    return direction


def _appended(pairs: Tensor, newest: Tensor, is_kept: Tensor) -> Tensor:
    """The pairs (N, H, D) without the oldest and with the newest (N, D), where it is kept (N, 1)."""
    moved = pairs.roll(-1, dims=1)
    moved[:, -1] = newest
    return moved.where(is_kept.unsqueeze(-1), pairs)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Products of two vectors each. # (…, D), (…, D) → (…, 1)"""
    return (a * b).sum(dim=-1, keepdim=True)


OPTIMIZER = Optimizer(
    name="lbfgs",
    description=f"L-BFGS: steps by the curvature of the last {HISTORY}, no line search; try lr 1",
    slots=fresh_slots,
    update=update,
)
