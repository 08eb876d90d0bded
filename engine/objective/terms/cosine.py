"""Similarity of prediction and target as embeddings: the published 'cosine loss'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.forward import Forward
from engine.objective.term import Term

if TYPE_CHECKING:
    from torch import Tensor


def similarity(forward: Forward) -> Tensor:
    """Cosine of the predicted and the target embedding, −1 to 1; the mean over target sentences. # (N,)"""
    predicted, target = forward.predictions, forward.target_embeddings
    norms = predicted.norm(dim=-1) * target.norm(dim=-1)
    cosine = (predicted * target).sum(dim=-1) / norms.clamp_min(1e-12)  # (N, M)
    return forward.over_sentences(cosine)


def negative_cosine(forward: Forward) -> Tensor:
    """Minus the similarity. # (N,)"""
    return -similarity(forward)


TERM = Term(
    "cosine", "cosine", "minus the cosine of prediction and encode(target)", "prediction", negative_cosine
)
