"""First stage: encoder and decoder as a denoising auto-encoder."""

from collections.abc import Callable

import torch
from sonar.models.sonar_text import (
    SonarTextDecoderFactory,
    SonarTextEncoderFactory,
    SonarTextTransformerEncoderModel,
)
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from engine.mini.architecture import END, Sizes, decoder_config, encoder_config
from engine.mini.codec import encode, summed_cross_entropy
from engine.mini.graphs import GraphedBackward
from engine.mini.prepared import Sentences
from engine.mini.schedule import Schedule
from engine.mini.settings import Settings

Report = Callable[[int, dict[str, float]], None]
"""Told the step and its numbers every so often."""

REPORT_EVERY = 200


def create_models(
    sizes: Sizes,
) -> tuple[SonarTextTransformerEncoderModel, ConditionalTransformerDecoderModel]:
    """An encoder and a decoder with random weights, made by sonar-space's factories."""
    encoder = SonarTextEncoderFactory(encoder_config(sizes)).create_model()
    decoder = SonarTextDecoderFactory(decoder_config(sizes)).create_model()
    return encoder.eval(), decoder.eval()


def with_noise(embeddings: Tensor, most: float) -> Tensor:
    """Add Gaussian noise of up to `most` times each embedding's norm; (N, D) to (N, D)."""
    noise = torch.randn_like(embeddings)
    norm = embeddings.detach().norm(dim=-1, keepdim=True)
    scale = most * torch.rand_like(norm) / embeddings.size(-1) ** 0.5
    noisy: Tensor = embeddings + noise * norm * scale
    return noisy


def with_changed_sentences(tokens: Tensor, share: float, sizes: Sizes) -> Tensor:
    """Make a `share` of the sentences (N, S) into ones that nobody wrote.

    Half of these are the beginning of one sentence and the end of another, half have up to all of their
    tokens replaced by random ones. What comes back then has to be in the embedding: it cannot be guessed,
    nor remembered from the training text, so sentences that are not in it come back as well.
    """
    rows, width = tokens.shape
    device = tokens.device
    positions = torch.arange(width, device=device)
    cuts = torch.rand(rows, 1, device=device) * width
    spliced = torch.where(positions < cuts, tokens, tokens.roll(1, dims=0))
    random_tokens = torch.randint(END + 1, sizes.pieces + 1, tokens.shape, device=device)
    is_replaced = torch.rand(tokens.shape, device=device) < torch.rand(rows, 1, device=device)
    kind = torch.rand(rows, 1, device=device)
    changed = torch.where(kind < share / 2, spliced, torch.where(is_replaced, random_tokens, tokens))
    return torch.where(kind < share, changed, tokens)


class LengthBatches:
    """Batches of sentences of one length, which need no padding; longer sentences come in smaller batches."""

    def __init__(self, sentences: Sentences, batch_tokens: int, seed: int) -> None:
        self._tokens = sentences.tokens
        self._rows = sentences.rows_by_length()
        self._batch_tokens = batch_tokens
        self._lengths = list(self._rows)
        # A length's chance to be drawn is its part of all tokens: every sentence is as likely as every other.
        self._weights = torch.tensor([len(self._rows[n]) * (n + 2) for n in self._lengths], dtype=torch.float)
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self) -> Tensor:
        """Ids (N, S)."""
        choice = int(torch.multinomial(self._weights, 1, generator=self._generator))
        length = self._lengths[choice]
        candidates = self._rows[length]
        count = max(1, self._batch_tokens // (length + 2))
        rows = candidates[torch.randint(len(candidates), (count,), device=candidates.device)]
        return self._tokens[rows, :length].long()


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU; weights are not cached between uses, because a CUDA graph would keep them."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda", cache_enabled=False)


def reconstruction_loss(
    encoder: SonarTextTransformerEncoderModel,
    decoder: ConditionalTransformerDecoderModel,
    tokens: Tensor,
    settings: Settings,
) -> Tensor:
    """Mean cross-entropy of sentences (N, S) of one length, some of them changed, given noisy embeddings."""
    tokens = with_changed_sentences(tokens, settings.changed_share, settings.sizes)
    embeddings = encode(encoder, tokens, settings.sizes).float()
    lengths = torch.full((len(tokens),), tokens.size(1), device=tokens.device)
    total, count = summed_cross_entropy(
        decoder, with_noise(embeddings, settings.noise), tokens, lengths, settings.sizes
    )
    return total / count


def train_autoencoder(
    encoder: SonarTextTransformerEncoderModel,
    decoder: ConditionalTransformerDecoderModel,
    sentences: Sentences,
    settings: Settings,
    report: Report,
) -> None:
    """Train both in place, on the device of the sentences.

    They stay in evaluation mode: dropout would only blur what has to come back exactly, and the noise on
    the embedding regularises.
    """
    device = sentences.tokens.device
    parameters = [*encoder.parameters(), *decoder.parameters()]

    def loss(tokens: Tensor) -> Tensor:
        with mixed_precision(device):
            return reconstruction_loss(encoder, decoder, tokens, settings)

    backward = GraphedBackward(loss, parameters)
    schedule = Schedule(
        [{"params": parameters, "lr": settings.autoencoder_lr}],
        warmup=settings.autoencoder_warmup,
        steps=settings.autoencoder_steps,
    )
    batches = LengthBatches(sentences, settings.autoencoder_tokens, settings.seed)
    recent = torch.zeros((), device=device)
    for step in range(1, settings.autoencoder_steps + 1):
        recent += backward(batches.draw())
        schedule.step()
        if step % REPORT_EVERY == 0 or step == settings.autoencoder_steps:
            steps = (step - 1) % REPORT_EVERY + 1
            report(step, {"cross_entropy": recent.item() / steps})
            recent.zero_()
