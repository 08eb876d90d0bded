"""Mean squared error of prediction and target as embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.forward import Forward
from engine.objective.term import Term

if TYPE_CHECKING:
    from torch import Tensor


def mean_squared_error(forward: Forward) -> Tensor:
    """Mean over the coordinates of the squared difference, then over target sentences. # (N,)"""
    difference = forward.predictions - forward.target_embeddings
    return forward.over_sentences((difference * difference).mean(dim=-1))


TERM = Term(
    "mse", "mse", "mean squared error of prediction and encode(target)", "prediction", mean_squared_error
)
