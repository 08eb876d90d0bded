"""Constraint: what is done to z beside the loss, as the registry holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.objective.option import Option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Move:
    """Z is put elsewhere before the row of every k-th step; row 0 never is."""

    every: str
    """Name of the option that says k; with 0 z is never moved."""

    to: Callable[[Tensor, Tensor], Tensor]
    """Maps effective z (N, D) and encode(decode(z)) (N, D) to the raw z that it is replaced by. # (N, D)"""

    resets: Callable[[object], bool]
    """Whether the optimiser's state begins anew, from the value of the option `moments`."""


@dataclass(frozen=True)
class Scatter:
    """The loss is the mean over copies of z."""

    copies: str
    """Name of the option that says how many; with 0 it is z's own loss."""

    level: str
    """Name of the option that says how far they are from z, relative to its norm."""

    of: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Maps effective z (N, 1, D), standard normal draws (N, C, D) and levels (N, 1, 1) to copies.
    # (N, C, D)"""


@dataclass(frozen=True)
class Constraint:
    """Something that is done to z beside the loss."""

    name: str
    description: str
    options: tuple[Option, ...]
    move: Move | None = None
    scatter: Scatter | None = None
