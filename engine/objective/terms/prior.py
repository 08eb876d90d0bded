"""How far z is from where the embeddings of sentences are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.forward import Forward
from engine.objective.term import Term

if TYPE_CHECKING:
    from torch import Tensor


def squared_mahalanobis(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """How far z is from where embeddings of sentences are, so that it is about 1 for one of them.

    1/D · Σ_d (z_d − μ_d)² / σ²_d: the squared Mahalanobis distance ("On the generalised distance in
    statistics", 1936) under a diagonal covariance, divided by D, which is its mean over the Gaussian.

    Args:
        z: (…, D)
        mean: (D,)
        variance: (D,), positive

    Returns:
        (…,)
    """
    return ((z - mean).square() / variance).mean(dim=-1)


def prior(forward: Forward) -> Tensor:
    """The squared Mahalanobis distance of z, with statistics of the embeddings of sentences. # (N,)"""
    if forward.prior is None:
        raise ValueError("the statistics of sentence embeddings are missing")
    return squared_mahalanobis(forward.z, *forward.prior)


TERM = Term(
    "prior",
    "prior",
    "squared Mahalanobis distance of z to the embeddings of sentences, a coordinate",
    "z",
    prior,
    needs=frozenset({"prior"}),
)
