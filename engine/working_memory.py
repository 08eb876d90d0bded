"""How much memory of a card runs take besides the weights, while they step and their rows are decoded."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch

from engine.ahead import MOST_STEPS
from engine.decoding.cache import Cache
from engine.decoding.graphs import positions_for
from engine.decoding.texts import texts_at_once
from engine.fast.cross_entropy import LOGITS_AT_ONCE
from engine.fast.padded import padded_rows
from engine.models.sizes import Sizes
from engine.spec import DECODED_LENGTH_FACTOR, RunSpec
from engine.steps.decoded_rows import texts_together
from engine.tokens import TARGET_CONTROL_TOKENS

LIBRARIES = 5 * 2**27
"""Kernels, workspaces of the CUDA libraries, graphs, and what the allocator holds and does not use."""

_PROMPT = TARGET_CONTROL_TOKENS - 1
"""Tokens that a text begins with: `</s>` and the language. As many more than a target's own are predicted."""

_VECTORS_OF_A_STEP = 11
"""Vectors (D,) of a run that are kept of a step until its rows are given out: its state before it, what was
measured, and what is to be decoded; in float32."""


@dataclass(frozen=True)
class Asked:
    """What runs ask for that their memory depends on: what one asks for, or the most of several."""

    sentences: int
    """M, target sentences."""

    tokens: int
    """Of the longest of them, control symbols left out."""

    places: int
    """S, sentences of a text that the generator reads."""

    beam: int

    decoded_tokens: int
    """Of a decoded text, at most."""

    decode_every: int
    """The fewest steps from one that is decoded to the next."""

    @classmethod
    def of(cls, spec: RunSpec, tokens: int) -> Self:
        """By a run.

        Args:
            spec: what it optimises.
            tokens: of its longest target sentence, control symbols left out.
        """
        return cls(
            sentences=len(spec.sentences),
            tokens=tokens,
            places=len(spec.before) + 1 + len(spec.context) + len(spec.sentences) - 1,
            beam=spec.beam,
            decoded_tokens=spec.max_decoded_tokens or DECODED_LENGTH_FACTOR * tokens,
            decode_every=spec.decode_every,
        )

    @classmethod
    def by_all(cls, asked: Iterable[Self]) -> Self:
        """The most that is asked for, by any of several."""
        first, *others = asked
        for other in others:
            first = first.and_(other)
        return first

    def and_(self, other: Self) -> Self:
        """The most of both."""
        return type(self)(
            sentences=max(self.sentences, other.sentences),
            tokens=max(self.tokens, other.tokens),
            places=max(self.places, other.places),
            beam=max(self.beam, other.beam),
            decoded_tokens=max(self.decoded_tokens, other.decoded_tokens),
            decode_every=min(self.decode_every, other.decode_every),
        )


@lru_cache(maxsize=1024)
def working_bytes(sizes: Sizes, dtype: torch.dtype, asked: Asked, runs: int) -> int:
    """Estimate what some runs take that are stepped together, the libraries left out.

    Args:
        sizes: of the bundle.
        dtype: of its weights.
        asked: by the runs, at most.
        runs: how many there are, the places that are left empty among them.
    """
    # The product of the two projections of the decoder's cross-attention, of every layer.
    folded = sizes.decoder.layers * sizes.decoder.dimension**2 * dtype.itemsize
    waiting = MOST_STEPS * runs * _VECTORS_OF_A_STEP * sizes.decoder.dimension * torch.float32.itemsize
    step = step_bytes(sizes, dtype, asked, runs)
    return folded + step + waiting + decoding_bytes(sizes, dtype, asked, runs)


def step_bytes(sizes: Sizes, dtype: torch.dtype, asked: Asked, runs: int) -> int:
    """What a step holds when most is there: at the logits, with all that is kept for the way back."""
    tokens = runs * asked.sentences * (asked.tokens + _PROMPT)
    # The logits in float32, and the derivative of the loss by them.
    logits = tokens * padded_rows(sizes.vocabulary) * (torch.float32.itemsize + dtype.itemsize)
    return kept_for_the_way_back(sizes, dtype, asked, runs) + logits


def kept_for_the_way_back(sizes: Sizes, dtype: torch.dtype, asked: Asked, runs: int) -> int:
    """What the layers keep of a step until the gradient has passed them."""
    decoder, generator = sizes.decoder, sizes.generator
    # Of each layer what ReLU lets through and the two sums that are normalised; of all but the first, whose
    # self-attention does not depend on z, the joint projection; then the last sum, and the loss's gradient.
    of_token = decoder.layers * (decoder.inner_dimension + 2 * decoder.dimension)
    of_token += (decoder.layers - 1) * 3 * decoder.dimension + 2 * decoder.dimension
    # Of each layer the two sums that are normalised, the gate, what is made of it, and what it lets through.
    of_place = generator.layers * (2 * generator.dimension + 3 * generator.inner_dimension)
    tokens = runs * asked.sentences * (asked.tokens + _PROMPT)
    return (tokens * of_token + runs * asked.places * of_place) * dtype.itemsize


def decoding_bytes(sizes: Sizes, dtype: torch.dtype, asked: Asked, runs: int) -> int:
    """What decoding keeps ready for the rows of a step, and takes to read their texts again."""
    texts, vocabulary = texts_of_a_batch(sizes, asked, runs), padded_rows(sizes.vocabulary)
    # Each of the captured steps has its own: one with all hypotheses, two with the first of each text.
    logits = texts * (asked.beam + 2) * vocabulary * dtype.itemsize
    read_again = runs * max(asked.sentences * asked.tokens, asked.decoded_tokens) * vocabulary
    return (
        keys_and_values_bytes(sizes, dtype, asked, runs)
        + logits
        + min(read_again, LOGITS_AT_ONCE) * torch.float32.itemsize
    )


def keys_and_values_bytes(sizes: Sizes, dtype: torch.dtype, asked: Asked, runs: int) -> int:
    """What the decoder keeps of the positions of a batch of texts."""
    decoder = sizes.decoder
    embeddings = torch.empty(
        texts_of_a_batch(sizes, asked, runs), 1, decoder.dimension, dtype=dtype, device="meta"
    )
    return Cache(
        [embeddings] * decoder.layers,
        heads=1,
        head_dim=decoder.dimension,
        hypotheses=asked.beam,
        positions=positions_for(_PROMPT + asked.decoded_tokens),
    ).nbytes


def texts_of_a_batch(sizes: Sizes, asked: Asked, runs: int) -> int:
    """Texts that are decoded at a time."""
    together = texts_together([(asked.sentences, asked.decode_every)] * runs)
    return texts_at_once(asked.beam, sizes.vocabulary, together=together)
