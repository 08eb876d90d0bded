"""Term: one loss term, as the registry holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.objective.forward import Forward
from engine.objective.option import Option

if TYPE_CHECKING:
    from torch import Tensor

Need = Literal["logits", "own text", "anchors", "prior"]
"""What a term reads of a forward pass that is not made unless some term needs it."""


@dataclass(frozen=True)
class Term:
    """One loss term."""

    name: str
    title: str
    """What a column or chart of it is called, in at most 7 cells."""

    description: str
    about: Literal["prediction", "z"]
    """Whether it looks at what is said next, or at z itself."""

    value: Callable[[Forward], Tensor]
    """Maps a forward pass to the term's value of each run. # (N,)"""

    needs: frozenset[Need] = frozenset()
    options: tuple[Option, ...] = ()
