"""Second stage: the generator, by the decoder's cross-entropy of each next sentence.

The decoder learns along: half of its gradient still comes from auto-encoding, which it must not forget; the
other half teaches it to make a fluent sentence of an embedding that says roughly what comes next. The encoder
is finished, so every sentence is encoded once, before the stage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from engine.mini.autoencoder import (
    REPORT_EVERY,
    LengthBatches,
    Report,
    mixed_precision,
    reconstruction_loss,
    with_noise,
)
from engine.mini.codec import encode, summed_cross_entropy
from engine.mini.graphs import GraphedBackward
from engine.mini.prepared import Kind, PreparedText, Sentences
from engine.mini.schedule import Schedule
from engine.mini.settings import Settings
from engine.models.generator import SonarLLM

ENCODING_BATCH_TOKENS = 65_536

LENGTH_QUANTILES = (0.0, 0.3, 0.55, 0.75, 0.9, 1.0)
"""Predicted sentences are sorted by length and decoded in these parts: short ones need little padding."""

SPARE_TOKENS = 2
"""A part is this much wider than the corpus's quantile, because batches vary."""


def create_generator(settings: Settings) -> SonarLLM:
    """A generator with random weights; its context is counted in sentences."""
    config = {
        "hidden_size": settings.generator_hidden,
        "intermediate_size": settings.generator_ffn_dim,
        "num_hidden_layers": settings.generator_layers,
        "num_attention_heads": settings.generator_heads,
        "num_key_value_heads": settings.generator_heads,
        "head_dim": settings.generator_head_dim,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
    }
    return SonarLLM(config, settings.sizes.embedding_dim)


@torch.no_grad()
def encode_all(encoder: SonarTextTransformerEncoderModel, sentences: Sentences, settings: Settings) -> Tensor:
    """Embeddings (U, D) of every sentence."""
    device = sentences.tokens.device
    embeddings = torch.zeros(len(sentences), settings.sizes.embedding_dim, device=device)
    for length, rows in sentences.rows_by_length().items():
        for part in torch.split(rows, max(1, ENCODING_BATCH_TOKENS // (length + 2))):
            embeddings[part] = encode(encoder, sentences.tokens[part, :length].long(), settings.sizes)
    return embeddings


@dataclass
class Windows:
    """Random windows of consecutive sentences out of the stories."""

    text: PreparedText
    random: np.random.Generator

    def __post_init__(self) -> None:
        self._lengths = np.diff(self.text.story_starts)
        self._stories = {kind: np.flatnonzero(self.text.kinds == kind) for kind in Kind}
        # A story's chance grows with the sentences in it that have a next one.
        self._cumulative = {kind: np.cumsum(self._lengths[self._stories[kind]] - 1.0) for kind in Kind}
        positions = np.flatnonzero(self.text.same_topic)
        stories = np.searchsorted(self.text.story_starts, positions, side="right") - 1
        kinds = self.text.kinds[stories]
        self._same_topic = {
            kind: (stories[kinds == kind], (positions - self.text.story_starts[stories])[kinds == kind])
            for kind in Kind
        }

    def draw(self, rows: int, width: int, shares: Mapping[Kind, float]) -> NDArray[np.int64]:
        """(rows, width) rows of the sentence table; -1 after the end of a story.

        `shares` are the parts of the rows that come from each kind, as far as the text has it.
        """
        counts = self._counts(rows, shares, {kind: len(self._stories[kind]) for kind in Kind})
        stories = np.concatenate([self._draw_stories(kind, counts[kind]) for kind in Kind])
        starts = (self.random.random(rows) * (self._lengths[stories] - 1)).astype(np.int64)
        return self._windows(stories, starts, width)

    def draw_same_topic(self, rows: int, width: int, shares: Mapping[Kind, float]) -> NDArray[np.int64]:
        """As `draw`, of windows whose second sentence goes on about the topic of their first.

        A text that has none gives any windows.
        """
        available = {kind: len(self._same_topic[kind][0]) for kind in Kind}
        if not any(available[kind] for kind, share in shares.items() if share):
            return self.draw(rows, width, shares)
        counts = self._counts(rows, shares, available)
        picks = {kind: self.random.integers(max(available[kind], 1), size=counts[kind]) for kind in Kind}
        stories = np.concatenate([self._same_topic[kind][0][pick] for kind, pick in picks.items()])
        starts = np.concatenate([self._same_topic[kind][1][pick] for kind, pick in picks.items()])
        return self._windows(stories, starts, width)

    def _counts(
        self, rows: int, shares: Mapping[Kind, float], available: Mapping[Kind, int]
    ) -> dict[Kind, int]:
        weights = np.array([shares.get(kind, 0.0) * (available[kind] > 0) for kind in Kind])
        bounds = np.rint(rows * np.cumsum(weights) / weights.sum()).astype(np.int64)
        return dict(zip(Kind, np.diff(bounds, prepend=0).tolist(), strict=True))

    def _windows(
        self, stories: NDArray[np.int64], starts: NDArray[np.int64], width: int
    ) -> NDArray[np.int64]:
        positions = starts[:, None] + np.arange(width)
        inside = positions < self._lengths[stories][:, None]
        flat = self.text.story_starts[stories][:, None] + np.where(inside, positions, 0)
        return np.where(inside, self.text.stories[flat], -1)

    def _draw_stories(self, kind: Kind, count: int) -> NDArray[np.int64]:
        if not count:
            return np.zeros(0, dtype=np.int64)
        cumulative = self._cumulative[kind]
        picks = np.searchsorted(cumulative, self.random.random(count) * cumulative[-1], side="right")
        chosen: NDArray[np.int64] = self._stories[kind][picks]
        return chosen


def train_generator(
    generator: SonarLLM,
    encoder: SonarTextTransformerEncoderModel,
    decoder: ConditionalTransformerDecoderModel,
    text: PreparedText,
    settings: Settings,
    report: Report,
) -> None:
    """Train generator and decoder in place, on the device of the sentences.

    The generator is trained on embeddings of its own scale, one a coordinate; the caller's `decoder` and
    `encoder` keep theirs, and the two projections take the factor up when this returns.
    """
    device = text.sentences.tokens.device
    sizes, sentences = settings.sizes, text.sentences
    encoder.requires_grad_(False)
    embeddings = encode_all(encoder, sentences, settings)
    scale = embeddings.norm(dim=-1).mean() / sizes.embedding_dim**0.5
    cuts = _cuts(sentences, text.stories, settings)

    def dropout(hidden: Tensor) -> Tensor:
        return F.dropout(hidden, settings.generator_dropout)

    def predict(inputs: Tensor) -> Tensor:
        noisy = with_noise(inputs, settings.generator_noise) / scale
        hidden = generator.llama(inputs_embeds=dropout(generator.forward_proj(noisy)))
        prediction: Tensor = generator.reverse_proj(dropout(hidden.last_hidden_state)).float() * scale
        return prediction.flatten(0, 1)

    def next_sentence_loss(long: Tensor, short: Tensor) -> Tensor:
        """From windows (B, T + 1) of many and of few sentences, as rows of the table."""
        with mixed_precision(device):
            known = [embeddings[rows[:, :-1].clamp(min=0)] for rows in (long, short)]
            predictions = torch.cat([predict(part) for part in known])
            targets = torch.cat([rows[:, 1:].flatten() for rows in (long, short)])
            lengths = torch.where(targets < 0, 0, sentences.lengths[targets.clamp(min=0)])
            order = lengths.argsort()
            decoder.train()
            sums, counts = [], []
            for begin, end, width in cuts:
                part = order[begin:end]
                tokens = sentences.tokens[targets[part].clamp(min=0), :width].long()
                total, count = summed_cross_entropy(
                    decoder, predictions[part], tokens, lengths[part].clamp(max=width), sizes
                )
                sums.append(total)
                counts.append(count)
            decoder.eval()
        return torch.stack(sums).sum() / torch.stack(counts).sum()

    def same_sentence_loss(tokens: Tensor) -> Tensor:
        with mixed_precision(device):
            return reconstruction_loss(encoder, decoder, tokens, settings)

    generator_parameters, decoder_parameters = list(generator.parameters()), list(decoder.parameters())
    next_sentence = GraphedBackward(next_sentence_loss, generator_parameters + decoder_parameters)
    same_sentence = GraphedBackward(same_sentence_loss, generator_parameters + decoder_parameters)
    schedule = Schedule(
        [
            {
                "params": generator_parameters,
                "lr": settings.generator_lr,
                "weight_decay": settings.generator_weight_decay,
            },
            {"params": decoder_parameters, "lr": settings.decoder_lr},
        ],
        warmup=settings.generator_warmup,
        steps=settings.generator_steps,
    )
    windows = Windows(text, np.random.default_rng(settings.seed))
    richer = 1 - settings.tinystories_share
    shares = {Kind.TINYSTORIES: settings.tinystories_share, Kind.RICHER_STORIES: richer}
    told_share = 1 - settings.spoken_share
    pair_shares = {kind: share * told_share for kind, share in shares.items()}
    pair_shares[Kind.SPOKEN] = settings.spoken_share
    same_topic_rows = round(settings.pair_rows * settings.same_topic_share)
    batches = LengthBatches(sentences, settings.reconstructed_tokens, settings.seed)
    recent = torch.zeros(2, device=device)
    for step in range(1, settings.generator_steps + 1):
        long = torch.from_numpy(windows.draw(settings.story_rows, settings.context + 1, shares)).to(device)
        short = torch.from_numpy(
            np.concatenate(
                [
                    windows.draw(settings.pair_rows - same_topic_rows, 3, pair_shares),
                    windows.draw_same_topic(same_topic_rows, 3, pair_shares),
                ]
            )
        ).to(device)
        recent[0] += next_sentence(long, short)
        recent[1] += same_sentence(batches.draw())
        schedule.step()
        if step % REPORT_EVERY == 0 or step == settings.generator_steps:
            steps = (step - 1) % REPORT_EVERY + 1
            next_loss, same_loss = (recent / steps).tolist()
            report(step, {"next_sentence": next_loss, "reconstruction": same_loss})
            recent.zero_()
    with torch.no_grad():
        generator.forward_proj.weight.div_(scale)
        generator.reverse_proj.weight.mul_(scale)
        generator.reverse_proj.bias.mul_(scale)


def _cuts(sentences: Sentences, stories: NDArray[np.int32], settings: Settings) -> list[tuple[int, int, int]]:
    """Begin, end and width in tokens of the parts that a sorted batch is decoded in.

    What a part is too narrow for is cut off there; that is rare and costs no more than those tokens.
    """
    total = settings.story_rows * settings.context + settings.pair_rows * 2
    lengths = sentences.lengths[torch.from_numpy(stories).to(sentences.lengths.device).long()].cpu().numpy()
    cuts = []
    for low, high in pairwise(LENGTH_QUANTILES):
        width = settings.longest
        if high < 1:
            width = min(width, int(np.quantile(lengths, high)) + SPARE_TOKENS)
        cuts.append((round(total * low), round(total * high), width))
    return cuts
