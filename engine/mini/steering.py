"""The published experiment for many targets at once: which embedding makes the generator say each of them?"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from engine.mini.architecture import Sizes
from engine.mini.codec import IGNORED, decoder_logits, decoder_pair
from engine.models.generator import SonarLLM

Loss = Literal["cross_entropy", "cosine"]
LOSSES: tuple[Loss, ...] = ("cross_entropy", "cosine")

LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Snapshot:
    """Where all targets are after some updates."""

    step: int
    losses: Tensor
    """(N,)"""
    predictions: Tensor
    """(N, D)"""
    similarities: Tensor
    """(N,) cosine of prediction and target embedding."""


def steer(
    generator: SonarLLM,
    decoder: ConditionalTransformerDecoderModel,
    init: Tensor,
    target_embeddings: Tensor,
    tokens: Tensor,
    lengths: Tensor,
    loss: Loss,
    snapshots: Collection[int],
    sizes: Sizes,
) -> Iterator[Snapshot]:
    """Optimise one embedding a target with Adam, its norm held at that of the initial one.

    Rows do not touch each other: the losses are summed, and Adam works by element.

    Args:
        generator: frozen.
        decoder: frozen.
        init: (D,) where every target starts.
        target_embeddings: (N, D)
        tokens: (N, S) the targets' ids, padded.
        lengths: (N,)
        loss: what is descended.
        snapshots: numbers of updates after which to yield.
        sizes: the models' sizes.
    """
    norm = init.norm()
    z = init.repeat(len(tokens), 1).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=LEARNING_RATE)
    fed, labels = decoder_pair(tokens, lengths, sizes)
    for step in range(max(snapshots) + 1):
        effective = z * (norm / z.norm(dim=-1, keepdim=True))
        prediction = generator(effective[:, None])[:, 0]
        similarities = F.cosine_similarity(prediction, target_embeddings, dim=-1)
        if loss == "cosine":
            losses = -similarities
        else:
            logits = decoder_logits(decoder, prediction, fed)
            token_losses = F.cross_entropy(
                logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
            )
            losses = token_losses.sum(dim=1) / (labels != IGNORED).sum(dim=1)
        if step in snapshots:
            yield Snapshot(step, losses.detach(), prediction.detach(), similarities.detach())
        (z.grad,) = torch.autograd.grad(losses.sum(), z)
        optimizer.step()
