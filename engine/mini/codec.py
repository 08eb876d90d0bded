"""Encoding, teacher-forced losses and greedy decoding on token ids, in batches without padding masks."""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from fairseq2.nn import BatchLayout
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from engine.mini.architecture import END, PAD, Sizes

IGNORED = -100
"""Label of a position that has no token."""


@lru_cache(maxsize=4096)
def _full_layout(rows: int, width: int) -> BatchLayout:
    """Layout of a batch in which every row is as long as the batch is wide.

    Making one takes a loop over the rows, so each is made once; nothing reads its tensors, so they stay
    on the CPU.
    """
    return BatchLayout((rows, width), None)


def source_ids(tokens: Tensor, sizes: Sizes) -> Tensor:
    """`__eng_Latn__ … </s>` for sentences (N, S) of one length: (N, S + 2)."""
    return F.pad(F.pad(tokens, (1, 0), value=sizes.language_id), (0, 1), value=END)


def encode(encoder: SonarTextTransformerEncoderModel, tokens: Tensor, sizes: Sizes) -> Tensor:
    """Embeddings (N, D) of sentences (N, S) of one length."""
    ids = source_ids(tokens, sizes)
    embeddings: Tensor = encoder(ids, _full_layout(*ids.shape)).sentence_embeddings
    return embeddings


def decoder_pair(tokens: Tensor, lengths: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """What the decoder is fed and what it has to say, (N, S + 2) each, for sentences (N, S) padded behind.

    `</s> __eng_Latn__ …` and `__eng_Latn__ … </s>`; labels after a sentence's end are `IGNORED`. Rows of
    length 0 hold no sentence and have no labels at all.
    """
    fed = F.pad(F.pad(tokens, (1, 0), value=sizes.language_id), (1, 0), value=END)
    labels = torch.cat([fed[:, 1:], torch.full_like(fed[:, :1], PAD)], dim=1)
    positions = torch.arange(labels.size(1), device=labels.device)
    ends = lengths[:, None] + 1
    labels = labels.masked_fill(positions == ends, END)
    return fed, labels.masked_fill((positions > ends) | (lengths[:, None] == 0), IGNORED)


def decoder_logits(decoder: ConditionalTransformerDecoderModel, embeddings: Tensor, fed: Tensor) -> Tensor:
    """Logits (N, S, V) for embeddings (N, D) and ids (N, S).

    The decoder is causal, so padding after a sentence's end changes nothing before it and needs no mask.
    """
    layout = _full_layout(*fed.shape)
    hidden = decoder.decode(fed, layout, embeddings[:, None], _full_layout(len(fed), 1))
    return decoder.project(hidden)


def summed_cross_entropy(
    decoder: ConditionalTransformerDecoderModel,
    embeddings: Tensor,
    tokens: Tensor,
    lengths: Tensor,
    sizes: Sizes,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy summed over the labels of all sentences, and the number of labels."""
    fed, labels = decoder_pair(tokens, lengths, sizes)
    logits = decoder_logits(decoder, embeddings, fed)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return loss, (labels != IGNORED).sum()


@torch.no_grad()
def greedy_decode(
    decoder: ConditionalTransformerDecoderModel, embeddings: Tensor, most_tokens: int, sizes: Sizes
) -> list[list[int]]:
    """Ids of the likeliest next token after next token, for embeddings (N, D); control symbols left out."""
    fed = embeddings.new_tensor([END, sizes.language_id], dtype=torch.int64).repeat(len(embeddings), 1)
    ended = torch.zeros(len(embeddings), dtype=torch.bool, device=embeddings.device)
    for _ in range(most_tokens):
        token = decoder_logits(decoder, embeddings, fed)[:, -1].argmax(dim=-1)
        token = token.masked_fill(ended, END)
        ended |= token == END
        fed = torch.cat([fed, token[:, None]], dim=1)
        if ended.all():
            break
    return [_until_end(row) for row in fed[:, 2:].tolist()]


def _until_end(ids: Sequence[int]) -> list[int]:
    return list(ids[: ids.index(END)]) if END in ids else list(ids)
