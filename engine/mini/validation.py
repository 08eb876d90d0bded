"""Quick numbers on held-out text, by greedy decoding: what a training is steered by."""

from collections.abc import Sequence

import torch
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from engine.mini.architecture import Sizes
from engine.mini.codec import encode, greedy_decode, summed_cross_entropy
from engine.mini.tokenizer import Tokenizer
from engine.models.generator import SonarLLM

ROWS = 256
"""Sentences that are decoded together."""

EVERYDAY_SENTENCES = (
    "I like cheese.",
    "It is raining today.",
    "My sister has a small dog.",
    "We went to the park.",
    "Tom had a red ball.",
    "The cat is hungry.",
    "Mom made a big cake.",
    "I lost my favorite toy.",
    "The boy was very sad.",
    "Anna wanted to play with her friend.",
)
"""First sentences whose next one is shown in the model card."""


@torch.no_grad()
def embed(
    encoder: SonarTextTransformerEncoderModel, tokenizer: Tokenizer, texts: Sequence[str], sizes: Sizes
) -> Tensor:
    """Embeddings (N, D) of texts of any lengths."""
    device = next(encoder.parameters()).device
    ids = tokenizer.encode(texts)
    embeddings = torch.zeros(len(texts), sizes.embedding_dim, device=device)
    rows_by_length: dict[int, list[int]] = {}
    for row, sentence in enumerate(ids):
        rows_by_length.setdefault(len(sentence), []).append(row)
    for rows in rows_by_length.values():
        embeddings[rows] = encode(encoder, torch.tensor([ids[row] for row in rows], device=device), sizes)
    return embeddings


def pad(ids: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids as a padded table (N, S) and their lengths (N,)."""
    lengths = torch.tensor([len(row) for row in ids], device=device)
    rows = [torch.tensor(row, dtype=torch.int64) for row in ids]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device), lengths


def decode_texts(
    decoder: ConditionalTransformerDecoderModel,
    tokenizer: Tokenizer,
    embeddings: Tensor,
    most_tokens: int,
    sizes: Sizes,
) -> list[str]:
    """Greedily decoded texts of embeddings (N, D)."""
    return [
        tokenizer.decode(ids)
        for part in torch.split(embeddings, ROWS)
        for ids in greedy_decode(decoder, part, most_tokens, sizes)
    ]


def next_sentence_losses(
    generator: SonarLLM,
    encoder: SonarTextTransformerEncoderModel,
    decoder: ConditionalTransformerDecoderModel,
    tokenizer: Tokenizer,
    stories: Sequence[Sequence[str]],
    sizes: Sizes,
    context: int,
) -> dict[str, float]:
    """Cross-entropy a token of the sentences of stories, each from all before it and from the one before it.

    Labels are as in the loss: `__eng_Latn__`, the sentence's tokens, `</s>`. A story counts up to its
    sentence number `context` + 1.
    """
    device = next(decoder.parameters()).device
    totals = {"all_before": [0.0, 0], "one_before": [0.0, 0]}
    with torch.no_grad():
        for story in stories:
            known = embed(encoder, tokenizer, story[: context + 1], sizes)
            tokens, lengths = pad(tokenizer.encode(story[1 : context + 1]), device)
            predictions = {
                "all_before": generator(known[None, :-1])[0],
                "one_before": generator(known[:-1, None])[:, 0],
            }
            for name, prediction in predictions.items():
                loss, count = summed_cross_entropy(decoder, prediction, tokens, lengths, sizes)
                totals[name][0] += loss.item()
                totals[name][1] += int(count)
    return {name: loss / count for name, (loss, count) in totals.items()}
