"""The models as their authors wrote them: what engine.fast computes is measured against this.

Nothing here is folded, joined or left out. It is the readable path, and the slow one.
"""

from fairseq2.nn import BatchLayout
from torch import Tensor

from engine.models.loaded import LoadedBundle, Targets


def predict_each(bundle: LoadedBundle, sentences: Tensor) -> Tensor:
    """Predict, at each place of N texts, the embedding of the sentence after it. # (N, S, D) to (N, S, D)"""
    prediction: Tensor = bundle.generator(sentences.to(bundle.dtype))
    return prediction.to(sentences.dtype)


def logits(bundle: LoadedBundle, embeddings: Tensor, targets: Targets) -> Tensor:
    """Logits of the decoder under teacher forcing, each target given its embedding. # (N, D) to (N, T, V)"""
    source = embeddings.to(bundle.dtype).unsqueeze(1)  # (N, 1, D)
    # The layout declares no padding: the decoder is causal, so what stands after a target's end cannot
    # reach its tokens.
    scores: Tensor = bundle.decoder(source, BatchLayout.of(source), targets.fed, BatchLayout.of(targets.fed))
    return scores.to(embeddings.dtype)


def token_losses(bundle: LoadedBundle, embeddings: Tensor, targets: Targets) -> Tensor:
    """−log softmax(logits)[token] in nats, 0 in padding. # (N, D) to (N, T)"""
    log_probabilities = logits(bundle, embeddings, targets).log_softmax(dim=-1)
    of_target = log_probabilities.gather(-1, targets.expected.unsqueeze(-1)).squeeze(-1)
    return -(of_target * targets.mask)
