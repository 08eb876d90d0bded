"""How far z is from where the embeddings of sentences are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.forward import Forward
from engine.objective.term import Term

if TYPE_CHECKING:
    from torch import Tensor


def prior(forward: Forward) -> Tensor:
    """Squared Mahalanobis distance under a diagonal Gaussian, over D: about 1 for a sentence. # (N,)

    1/D · Σ_d (z_d − μ_d)² / σ²_d, with μ and σ² fitted on embeddings of sentences (Mahalanobis 1936).
    """
    if forward.prior is None:
        raise ValueError("the statistics of sentence embeddings are missing")
    mean, variance = forward.prior
    return ((forward.z - mean).square() / variance).mean(dim=-1)


TERM = Term(
    "prior",
    "prior",
    "squared Mahalanobis distance of z to the embeddings of sentences, a coordinate",
    "z",
    prior,
    needs=frozenset({"prior"}),
)
