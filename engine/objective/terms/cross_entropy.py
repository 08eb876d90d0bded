"""The decoder's cross-entropy of the target: the published 'decoder CE'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.forward import Forward
from engine.objective.term import Term

if TYPE_CHECKING:
    from torch import Tensor


def sentence_cross_entropy(forward: Forward) -> Tensor:
    """Mean cross-entropy of each target sentence's tokens given its prediction, in nats a token. # (N, M)

    −1/T · Σ_t log softmax(logits_t)[token_t], over real tokens only; 0 for a sentence that is not there.
    """
    return forward.token_losses.sum(dim=-1) / forward.target_mask.sum(dim=-1).clamp_min(1)


def cross_entropy(forward: Forward) -> Tensor:
    """Mean of the target sentences' cross-entropies, in nats a token. # (N,)"""
    return forward.over_sentences(sentence_cross_entropy(forward))


TERM = Term(
    "ce",
    "ce",
    "decoder cross-entropy of the target, nats a token",
    "prediction",
    cross_entropy,
    needs=frozenset({"logits"}),
)
