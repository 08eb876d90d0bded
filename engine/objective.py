"""The loss terms: one registry, and nothing but their formulas.

Every term takes the same `Prediction` and returns one value for each of the N runs of a step, so runs
stepped together never see one another. The formulas are written with tensor methods: this module is read
by the viewer too (names, descriptions), which must not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """What the frozen models say about z, and what they should say."""

    embedding: Tensor
    """Predicted next embedding. # (N, D)"""

    target_embedding: Tensor
    """encode(target). # (N, D)"""

    logits: Tensor | None
    """Decoder logits under teacher forcing, in the precision of `embedding`; None when no term with a weight
    needs them. # (N, T, V)"""

    target_tokens: Tensor
    """The tokens that the logits should predict. # (N, T)"""

    target_mask: Tensor
    """True where a target token is real, False where it is padding. # (N, T)"""

    @cached_property
    def token_losses(self) -> Tensor:
        """−log softmax(logits_t)[token_t], in nats: cross-entropy of each token; 0 in padding. # (N, T)"""
        if self.logits is None:
            raise ValueError("cross-entropy needs the decoder's logits")
        log_probabilities = self.logits.log_softmax(dim=-1)  # (N, T, V)
        of_target = log_probabilities.gather(-1, self.target_tokens.unsqueeze(-1)).squeeze(-1)  # (N, T)
        return -(of_target * self.target_mask)


@dataclass(frozen=True)
class Term:
    """One loss term of the registry."""

    name: str
    description: str
    needs_logits: bool
    value: Callable[[Prediction], Tensor]
    """Maps a Prediction to the term's value of each run. # (N,)"""


def cross_entropy(prediction: Prediction) -> Tensor:
    """Mean cross-entropy of the target's tokens given the predicted embedding, in nats a token. # (N,)

    −1/T · Σ_t log softmax(logits_t)[token_t], over real tokens only: the published 'decoder CE'.
    """
    return prediction.token_losses.sum(dim=-1) / prediction.target_mask.sum(dim=-1)


def similarity(prediction: Prediction) -> Tensor:
    """Cosine of the predicted and the target embedding, −1 to 1. # (N,)"""
    predicted, target = prediction.embedding, prediction.target_embedding
    norms = predicted.norm(dim=-1) * target.norm(dim=-1)
    cosine: Tensor = (predicted * target).sum(dim=-1) / norms.clamp_min(1e-12)
    return cosine


def negative_cosine(prediction: Prediction) -> Tensor:
    """Minus the similarity: the published 'cosine loss'. # (N,)"""
    return -similarity(prediction)


def mean_squared_error(prediction: Prediction) -> Tensor:
    """Mean over the coordinates of the squared difference of the two embeddings. # (N,)"""
    difference = prediction.embedding - prediction.target_embedding
    return (difference * difference).mean(dim=-1)


TERMS: Mapping[str, Term] = {
    term.name: term
    for term in (
        Term("ce", "decoder cross-entropy of the target, nats a token", True, cross_entropy),
        Term("cosine", "minus the cosine of prediction and encode(target)", False, negative_cosine),
        Term("mse", "mean squared error of prediction and encode(target)", False, mean_squared_error),
    )
}
"""Every loss term by its name; a new one is one entry."""
