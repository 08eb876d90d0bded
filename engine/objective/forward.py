"""A forward pass: what the frozen models make of z, which the loss terms read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Forward:
    """What the frozen models say about the z of N runs, and what they should say.

    A run has up to M target sentences, one after the other; those that it does not have are masked. Runs
    never see one another. The formulas are tensor methods: viewers, which have no torch, import this too.
    """

    z: Tensor
    """Effective z. # (N, D)"""

    predictions: Tensor
    """Predicted embedding in the place of each target sentence. # (N, M, D)"""

    target_embeddings: Tensor
    """encode(target) of each sentence. # (N, M, D)"""

    is_target: Tensor
    """True where a run has a sentence, False where it is padding. # (N, M)"""

    target_mask: Tensor
    """True where a target token is real, False where it is padding. # (N, M, T)"""

    target_token_losses: Callable[[], Tensor]
    """Cross-entropy of each token of the target sentences under teacher forcing, given the predictions, in
    their precision; 0 in padding. # (N, M, T)"""

    own_token_losses: Callable[[], tuple[Tensor, Tensor]]
    """Cross-entropy, given z, of each token of the text that z was last read as, and the mask of the real
    ones. # (N, U), (N, U)"""

    anchors: tuple[Tensor, Tensor] | None = None
    """Embeddings that z may stay near to, and True where a run has one. # (N, A, D), (N, A)"""

    prior: tuple[Tensor, Tensor] | None = None
    """Mean and variance of each coordinate over embeddings of sentences. # (D,), (D,)"""

    @cached_property
    def token_losses(self) -> Tensor:
        """−log softmax(logits_t)[token_t], in nats: cross-entropy of each token; 0 in padding. # (N, M, T)"""
        return self.target_token_losses()

    def over_sentences(self, values: Tensor) -> Tensor:
        """Mean of a value (N, M) over the sentences that a run has. # (N,)"""
        return (values * self.is_target).sum(dim=-1) / self.is_target.sum(dim=-1)
