"""Which token comes next: greedy and beam search over many rows at once, each as fairseq2 searches it.

A text is `prompt … </s>`. The rows of a search are independent and may end at different lengths. Nothing here
waits for the device, and nothing has a shape that depends on values.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from engine.fast.softmax import losses_and_errors


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

    _state: ClassVar[tuple[str, ...]] = ("fed", "parents", "is_done", "is_broken", "texts", "ends")

    def __init__(self, rows: Rows, symbols: Symbols, *, beam: int, positions: int) -> None:
        """Begin rows.

        Args:
            rows: R of them.
            symbols: of the vocabulary.
            beam: B, most hypotheses that are followed of a row.
            positions: L, more than the last of any row.
        """
        count, prompt_length = rows.prompts.shape
        self._rows, self._symbols = rows, symbols
        self.fed = rows.prompts[:, :1].repeat(1, beam)
        self.parents = torch.zeros_like(self.fed)
        self.is_done = torch.zeros(count, dtype=torch.bool, device=rows.prompts.device)
        self.is_broken = torch.zeros_like(self.is_done)
        self.texts = rows.prompts.new_zeros(count, positions)
        self.texts[:, :prompt_length] = rows.prompts
        self.ends = torch.zeros_like(rows.last)

    def follow_prompt(self, logits: Tensor, position: Tensor) -> None:
        """Take the prompt's token at a position (1,), given logits (R, 1, V)."""
        self.fed[:, :1] = self._rows.prompts.index_select(1, position)

    @abstractmethod
    def choose(self, logits: Tensor, position: Tensor) -> None:
        """Choose what stands at a position (1,), given logits (R, H, V) of H hypotheses.

        After the prompt H is 1, from then on B. The logits are overwritten.
        """

    def restart(self, rows: Rows) -> None:
        """Search as many rows anew, with prompts of the same length, in the same memory."""
        positions, beam = self.texts.shape[1], self.fed.shape[1]
        fresh = type(self)(rows, self._symbols, beam=beam, positions=positions)
        self._rows.prompts.copy_(rows.prompts)
        self._rows.last.copy_(rows.last)
        for name in self._state:
            getattr(self, name).copy_(getattr(fresh, name))

    def select(self, rows: Tensor) -> None:
        """Keep some rows only, by their numbers (K,)."""
        self._rows = self._rows.chosen(rows)
        for name in self._state:
            setattr(self, name, getattr(self, name)[rows])


class GreedySearch(Search):
    """The likeliest token again and again; fairseq2's beam search with a beam of 1."""

    def choose(self, logits: Tensor, position: Tensor) -> None:
        logits = logits.squeeze(1)  # (R, V)
        if self._symbols.pad is not None:
            logits[:, self._symbols.pad] = -torch.inf
        highest, tokens = logits.max(dim=-1)  # (R,), (R,)
        self.is_broken.logical_or_(highest.isnan() & ~self.is_done)
        tokens = torch.where(position >= self._rows.last, self._symbols.end, tokens)
        self.texts.index_copy_(1, position, torch.where(self.is_done, 0, tokens).unsqueeze(1))
        ends_now = (tokens == self._symbols.end) & ~self.is_done
        self.ends.copy_(torch.where(ends_now, position, self.ends))
        self.is_done.logical_or_(ends_now)
        self.fed.copy_(tokens.unsqueeze(1))


class BeamSearch(Search):
    """Beam search with fairseq2's rules.

    The score of a text is the mean log-probability of its tokens, the prompt's and `</s>` counted, all but
    the first. Of the best 2 · B continuations, those among the first B that end are finished, and the first B
    that do not end go on. A row is done with B finished texts.

    It is also done as soon as no continuation can overtake the best finished text, which changes nothing but
    the time: log-probabilities only add up to less, and a mean is over `last` tokens at most.
    """

    _state = (*Search._state, "_tokens", "_scores", "_best", "_finished")

    def __init__(self, rows: Rows, symbols: Symbols, *, beam: int, positions: int) -> None:
        super().__init__(rows, symbols, beam=beam, positions=positions)
        self._beam = beam
        self._tokens = self.texts.unsqueeze(1).repeat(1, beam, 1)  # (R, B, L)
        self._scores = torch.zeros(self.fed.shape, device=self.fed.device)  # (R, B), log-probabilities
        self._best = torch.full_like(self._scores[:, 0], -torch.inf)  # (R,), of the best finished text
        self._finished = torch.zeros_like(self.ends)  # (R,), number of finished texts
        self._end = torch.full_like(self.ends[:1], symbols.end)  # (1,)

    def follow_prompt(self, logits: Tensor, position: Tensor) -> None:
        super().follow_prompt(logits, position)
        of_fed, _ = losses_and_errors(logits.squeeze(1), self.fed[:, 0], logits.shape[-1], None)  # (R,)
        self._scores[:, 0] -= of_fed

    def choose(self, logits: Tensor, position: Tensor) -> None:
        scores, parents, tokens = self._continuations(logits, position)
        self.is_broken.logical_or_(scores[:, 0].isnan() & ~self.is_done)
        ends = tokens == self._symbols.end  # (R, 2B)
        self._finish(ends[:, : self._beam], scores, parents, position)
        goes_on = ends.int().argsort(dim=1, stable=True)[:, : self._beam]  # (R, B)
        self.parents.copy_(parents.gather(1, goes_on))
        self.fed.copy_(tokens.gather(1, goes_on))
        self._scores.copy_(scores.gather(1, goes_on))
        self._tokens.copy_(self._of(self.parents))
        self._tokens.index_copy_(2, position, self.fed.unsqueeze(2))
        last = self._rows.last
        cannot_be_overtaken = self._best >= self._scores[:, 0] / last
        self.is_done.logical_or_((self._finished >= self._beam) | cannot_be_overtaken | (position >= last))

    def _continuations(self, logits: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, parents and tokens of the best 2 · B continuations, the best first. # (R, 2B) each"""
        hypotheses, count = logits.shape[1], 2 * self._beam
        # log softmax(x) is x less one number: the likeliest tokens are found among the logits as they are.
        of_end, _ = losses_and_errors(
            logits.flatten(0, 1), self._end.expand(logits.shape[:2].numel()), logits.shape[-1], None
        )  # (R · H,), −log p(</s>)
        of_end = of_end.view(-1, hypotheses, 1)
        logarithms = logits[..., self._symbols.end].unsqueeze(2) + of_end  # (R, H, 1)
        if self._symbols.pad is not None:
            logits[..., self._symbols.pad] = -torch.inf
        top, tokens = logits.topk(count)  # (R, H, 2B)
        top = top - logarithms
        must_end = (position >= self._rows.last)[:, None, None]  # (R, 1, 1)
        only_end = torch.full_like(top, -torch.inf)
        only_end[..., :1] = -of_end
        top = torch.where(must_end, only_end, top)
        tokens = torch.where(must_end, self._symbols.end, tokens)
        totals = top + self._scores[:, :hypotheses, None]
        scores, places = totals.flatten(1).topk(count)
        return scores, places // count, tokens.flatten(1).gather(1, places)

    def _finish(self, ends: Tensor, scores: Tensor, parents: Tensor, position: Tensor) -> None:
        """Count the continuations that end (R, B), and keep the best of them if it is the best so far."""
        first = ends.int().argmax(dim=1, keepdim=True)  # (R, 1): the best, as they are sorted
        score = (scores.gather(1, first) / position).squeeze(1)  # (R,)
        is_better = ends.any(dim=1) & ~self.is_done & (score > self._best)
        text = self._of(parents.gather(1, first)).squeeze(1)  # (R, L)
        text.index_fill_(1, position, self._symbols.end)
        self.texts.copy_(torch.where(is_better.unsqueeze(1), text, self.texts))
        self.ends.copy_(torch.where(is_better, position, self.ends))
        self._best.copy_(torch.where(is_better, score, self._best))
        self._finished.add_(ends.sum(dim=1))

    def _of(self, hypotheses: Tensor) -> Tensor:
        """Tokens of some hypotheses, by their numbers. # (R, K) to (R, K, L)"""
        return self._tokens.gather(1, hypotheses.unsqueeze(2).expand(-1, -1, self._tokens.shape[2]))
