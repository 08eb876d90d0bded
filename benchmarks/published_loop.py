"""The published optimisation loop, as its authors ran it: what this program's speed is compared with."""

import statistics
import time
from typing import Any

import torch
from fairseq2.nn import BatchLayout
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.random_models import NORM, Sizes

LLAMA_VOCABULARY = 128_256
"""The output layer is computed, though nobody reads it."""


class PublishedGenerator(nn.Module):
    """SONAR-LLM as published: a language model with its tokens' embedding, between two projections."""

    def __init__(self, sizes: Sizes, *, vocabulary: int) -> None:
        super().__init__()
        config = LlamaConfig(**sizes.llama, vocab_size=vocabulary, tie_word_embeddings=True)
        self.llama = LlamaForCausalLM(config)
        self.forward_proj = nn.Linear(sizes.embedding_dim, config.hidden_size)
        self.reverse_proj = nn.Linear(config.hidden_size, sizes.embedding_dim)


def published_generator(sizes: Sizes, device: torch.device) -> PublishedGenerator:
    """One with random weights, frozen."""
    vocabulary = min(LLAMA_VOCABULARY, sizes.vocabulary)
    with device:
        return PublishedGenerator(sizes, vocabulary=vocabulary).eval().requires_grad_(False)


def step_ms(
    decoder: ConditionalTransformerDecoderModel,
    generator: PublishedGenerator,
    *,
    target_tokens: int,
    steps: int,
    warm_up: int,
) -> float:
    """Median milliseconds a step of the loop, in float32.

    Args:
        decoder: SONAR's.
        generator: SONAR-LLM.
        target_tokens: that the decoder is fed.
        steps: that are measured.
        warm_up: steps before them.
    """
    device = generator.forward_proj.weight.device
    frontend: Any = decoder.decoder_frontend
    target = torch.randint(4, frontend.embed.num_embeddings, (1, target_tokens), device=device)
    z = torch.randn(1, 1, generator.forward_proj.in_features, device=device)
    z = (z / z.norm() * NORM).requires_grad_()
    target_embedding = z.detach().clone()
    optimizer = torch.optim.Adam([z], lr=0.01)
    times_ms = []
    for step in range(warm_up + steps):
        began = time.perf_counter()
        optimizer.zero_grad()
        effective = z * (NORM / (z.norm(dim=-1, keepdim=True) + 1e-8))
        hidden = generator.llama(
            inputs_embeds=generator.forward_proj(effective), output_hidden_states=True
        ).hidden_states[-1]
        prediction = generator.reverse_proj(hidden)
        logits = decoder(prediction, BatchLayout.of(prediction), target, BatchLayout.of(target))
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), target[:, 1:].flatten())
        F.cosine_similarity(prediction.flatten(), target_embedding.flatten(), dim=0).item()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if step >= warm_up:
            times_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times_ms)
