"""Which token comes next: a search over many rows at once, each as fairseq2 searches it; greedy search.

A text is `prompt … </s>`. The rows of a search are independent and may end at different lengths. Nothing here
waits for the device, and nothing has a shape that depends on values.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """How R texts begin and where they end."""

    prompts: Tensor
    """Tokens that a text begins with. # (R, P)"""

    last: Tensor
    """Position, counted from 0, that `</s>` has at the latest; at least P. # (R,)"""

    def chosen(self, rows: Tensor | slice) -> "Rows":
        """Some of the rows."""
        return Rows(self.prompts[rows], self.last[rows])

    def to(self, device: torch.device) -> "Rows":
        """The rows on a device."""
        return Rows(self.prompts.to(device), self.last.to(device))


@dataclass(frozen=True)
class Symbols:
    """Control symbols of a vocabulary."""

    end: int
    """`</s>`"""

    pad: int | None
    """Never chosen."""


class Search(ABC):
    """The search of R rows: it says what to feed the decoder and is told the logits, position by position."""

    rows: Rows
    """How the texts begin and end."""

    symbols: Symbols
    """Of the vocabulary."""

    fed: Tensor
    """Tokens to feed next; within the prompt only the first of a row. # (R, B)"""

    parents: Tensor
    """The hypothesis that each one now goes on from. # (R, B)"""

    is_done: Tensor
    """Whether a row's text is found. # (R,)"""

    is_broken: Tensor
    """Whether a row's logits were not numbers. # (R,)"""

    texts: Tensor
    """The best texts so far, prompt and `</s>` included; what follows `</s>` means nothing. # (R, L)"""

    ends: Tensor
    """Position of `</s>` in them. # (R,)"""

    parts: ClassVar[tuple[str, ...]] = ("fed", "parents", "is_done", "is_broken", "texts", "ends")

    def __init__(self, rows: Rows, symbols: Symbols, *, beam: int, positions: int) -> None:
        """Begin rows.

        Args:
            rows: R of them.
            symbols: of the vocabulary.
            beam: B, most hypotheses that are followed of a row.
            positions: L, more than the last of any row.
        """
        count, prompt_length = rows.prompts.shape
        self.rows, self.symbols = rows, symbols
        self.fed = rows.prompts[:, :1].repeat(1, beam)
        self.parents = torch.zeros_like(self.fed)
        self.is_done = torch.zeros(count, dtype=torch.bool, device=rows.prompts.device)
        self.is_broken = torch.zeros_like(self.is_done)
        self.texts = rows.prompts.new_zeros(count, positions)
        self.texts[:, :prompt_length] = rows.prompts
        self.ends = torch.zeros_like(rows.last)

    def follow_prompt(self, logits: Tensor, position: Tensor) -> None:
        """Take the prompt's token at a position (1,), given logits (R, 1, V)."""
        self.fed[:, :1] = self.rows.prompts.index_select(1, position)

    @abstractmethod
    def choose(self, logits: Tensor, position: Tensor) -> None:
        """Choose what stands at a position (1,), given logits (R, H, V) of H hypotheses.

        After the prompt H is 1, from then on B. The logits are overwritten.
        """

    def restart(self, rows: Rows) -> None:
        """Search as many rows anew, with prompts of the same length, in the same memory."""
        positions, beam = self.texts.shape[1], self.fed.shape[1]
        fresh = type(self)(rows, self.symbols, beam=beam, positions=positions)
        self.rows.prompts.copy_(rows.prompts)
        self.rows.last.copy_(rows.last)
        for name in self.parts:
            getattr(self, name).copy_(getattr(fresh, name))

    def select(self, rows: Tensor) -> None:
        """Keep some rows only, by their numbers (K,)."""
        self.rows = self.rows.chosen(rows)
        for name in self.parts:
            setattr(self, name, getattr(self, name)[rows])


class GreedySearch(Search):
    """The likeliest token again and again; fairseq2's beam search with a beam of 1."""

    def choose(self, logits: Tensor, position: Tensor) -> None:
        logits = logits.squeeze(1)  # (R, V)
        if self.symbols.pad is not None:
            logits[:, self.symbols.pad] = -torch.inf
        highest, tokens = logits.max(dim=-1)  # (R,), (R,)
        self.is_broken.logical_or_(highest.isnan() & ~self.is_done)
        tokens = torch.where(position >= self.rows.last, self.symbols.end, tokens)
        self.texts.index_copy_(1, position, torch.where(self.is_done, 0, tokens).unsqueeze(1))
        ends_now = (tokens == self.symbols.end) & ~self.is_done
        self.ends.copy_(torch.where(ends_now, position, self.ends))
        self.is_done.logical_or_(ends_now)
        self.fed.copy_(tokens.unsqueeze(1))
