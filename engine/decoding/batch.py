"""Rows that are decoded together, one position after the other."""

import torch
from torch import Tensor

from engine.decoding import beam_search
from engine.decoding.beam_search import BeamSearch
from engine.decoding.incremental import IncrementalDecoder
from engine.decoding.search import GreedySearch, Rows, Symbols

FIRST_POSITIONS = 16
"""Room that the cache of a batch begins with where it can grow."""

LEAVE_AT = 0.25
"""Share of a batch that has to be done before it leaves: leaving costs a copy of the others' cache."""


class Batch:
    """R rows: the decoder's cache and the search, at one position."""

    def __init__(
        self,
        decoder: IncrementalDecoder,
        embeddings: Tensor,
        rows: Rows,
        symbols: Symbols,
        *,
        beam: int,
        positions: int,
        room: int,
    ) -> None:
        """Begin at position 0.

        Args:
            decoder: of the embeddings.
            embeddings: in the weights' precision. # (R, D)
            rows: how their texts begin and end.
            symbols: of the vocabulary.
            beam: hypotheses kept for each row; 1 is greedy.
            positions: L, more than the last of any row.
            room: positions of the cache.
        """
        self._decoder = decoder
        self._beam = beam
        self.prompt_length = rows.prompts.shape[1]
        self.cache = decoder.start(embeddings, hypotheses=beam, positions=room)
        # Where there are kernels for beam search, they are faster than greedy search without.
        is_greedy = beam == 1 and beam_search.kernels_on(embeddings.device) is None
        kind = GreedySearch if is_greedy else BeamSearch
        self.search = kind(rows, symbols, beam=beam, positions=positions)
        self.position = torch.zeros(1, dtype=torch.int64, device=embeddings.device)

    def step(self, fed: int, *, extent: int | None) -> None:
        """Feed one position, and choose the token at the next.

        Args:
            fed: the position.
            extent: number of positions up to it; None: look at all in the cache, those to come hidden.
        """
        hypotheses = 1 if fed < self.prompt_length else self._beam
        logits = self._decoder(self.search.fed[:, :hypotheses], self.position, self.cache, extent=extent)
        self.position.add_(1)
        if fed + 1 < self.prompt_length:
            self.search.follow_prompt(logits, self.position)
            self.cache.follow(self.position)
        else:
            self.search.choose(logits, self.position)
            self.cache.descend(self.search.parents, self.position)

    def restart(self, embeddings: Tensor, rows: Rows) -> None:
        """Begin as many rows anew, with prompts of the same length, in the same memory."""
        self.cache.restart(self._decoder.contributions(embeddings))
        self.search.restart(rows)
        self.position.zero_()

    def select(self, rows: Tensor) -> None:
        """Keep some rows only, by their numbers (K,)."""
        self.cache.select(rows)
        self.search.select(rows)

    def found(self) -> list[Tensor]:
        """Tokens of each row's text, `</s>` included, on the CPU.

        Raises:
            FloatingPointError: logits were not numbers.
        """
        if self.search.is_broken.any():
            raise FloatingPointError("the decoder's logits are not numbers")
        texts, ends = self.search.texts.cpu(), self.search.ends.tolist()
        return [text[self.prompt_length : end + 1] for text, end in zip(texts, ends, strict=True)]


def decode_step_by_step(
    decoder: IncrementalDecoder, embeddings: Tensor, rows: Rows, symbols: Symbols, *, beam: int
) -> list[Tensor]:
    """Tokens of the texts of R embeddings, `</s>` included.

    Rows that are done leave the batch now and then, and the cache grows with the texts.

    Args:
        decoder: of the embeddings.
        embeddings: in the weights' precision. # (R, D)
        rows: how their texts begin and end; on the CPU.
        symbols: of the vocabulary.
        beam: hypotheses kept for each row; 1 is greedy.

    Raises:
        FloatingPointError: logits are not numbers.
    """
    positions = int(rows.last.max()) + 1
    rows = rows.to(embeddings.device)
    room = min(FIRST_POSITIONS, positions)
    batch = Batch(decoder, embeddings, rows, symbols, beam=beam, positions=positions, room=room)
    texts: dict[int, Tensor] = {}
    remaining = torch.arange(len(embeddings))  # numbers of the rows that are still in the batch
    for fed in range(positions - 1):
        if fed + 1 == batch.cache.positions:
            batch.cache.extend(min(2 * batch.cache.positions, positions))
        batch.step(fed, extent=fed + 1)
        is_done = batch.search.is_done
        done = int(is_done.sum())
        if done >= LEAVE_AT * len(remaining):
            texts.update(zip(remaining.tolist(), batch.found(), strict=True))
            if done == len(remaining):
                break
            batch.select((~is_done).nonzero().squeeze(1))
            remaining = remaining[~is_done.cpu()]
    return [texts[row] for row in range(len(embeddings))]
