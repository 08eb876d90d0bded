"""Beam search over many rows at once: on a card by kernels, elsewhere one operation after the other."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from engine.decoding.descent import descend
from engine.decoding.search import Rows, Search, Symbols
from engine.fast.compiled import check_alike, compiled, drawn
from engine.fast.softmax import losses_and_errors

PRECISIONS = (torch.float32, torch.bfloat16)
"""Of logits that the kernels take."""


class BeamSearch(Search):
    """Beam search with fairseq2's rules; with a beam of 1 it is greedy search.

    The score of a text is the mean log-probability of its tokens, the prompt's and `</s>` counted, all but
    the first. Of the best 2 · B continuations, those among the first B that end are finished, and the first B
    that do not end go on. A row is done with B finished texts.

    It is also done as soon as no continuation can overtake the best finished text, which changes nothing but
    the time: log-probabilities only add up to less, and a mean is over `last` tokens at most.
    """

    beam: int
    """B"""

    tokens: Tensor
    """Of the hypotheses, up to the one that was fed last. # (R, B, L)"""

    scores: Tensor
    """Log-probabilities of the hypotheses. # (R, B)"""

    best: Tensor
    """Score of the best finished text, −∞ if there is none. # (R,)"""

    finished: Tensor
    """Number of finished texts. # (R,)"""

    parts = (*Search.parts, "tokens", "scores", "best", "finished")

    def __init__(self, rows: Rows, symbols: Symbols, *, beam: int, positions: int) -> None:
        super().__init__(rows, symbols, beam=beam, positions=positions)
        self.beam = beam
        self.tokens = self.texts.unsqueeze(1).repeat(1, beam, 1)
        self.scores = torch.zeros(self.fed.shape, device=self.fed.device)
        self.best = torch.full_like(self.scores[:, 0], -torch.inf)
        self.finished = torch.zeros_like(self.ends)

    def follow_prompt(self, logits: Tensor, position: Tensor) -> None:
        super().follow_prompt(logits, position)
        of_fed, _ = losses_and_errors(logits.squeeze(1), self.fed[:, 0], logits.shape[-1], None)  # (R,)
        self.scores[:, 0] -= of_fed

    def choose(self, logits: Tensor, position: Tensor) -> None:
        kernels = kernels_on(logits.device) if logits.dtype in PRECISIONS else None
        (kernels or by_torch)(self, logits, position)
        descend(self.tokens, self.parents, position, self.fed)


Choose = Callable[[BeamSearch, Tensor, Tensor], None]


def by_torch(search: BeamSearch, logits: Tensor, position: Tensor) -> None:
    """Finish texts, and say which hypotheses go on with which tokens: all but what `tokens` is then.

    Args:
        search: of R rows; its state is written in place.
        logits: of H hypotheses; overwritten. # (R, H, V)
        position: where tokens are chosen. # (1,)
    """
    beam, last = search.beam, search.rows.last
    scores, parents, tokens = _continuations(search, logits, position)
    search.is_broken.logical_or_(scores[:, 0].isnan() & ~search.is_done)
    ends = tokens == search.symbols.end  # (R, 2B)
    _finish(search, ends[:, :beam], scores, parents, position)
    goes_on = ends.int().argsort(dim=1, stable=True)[:, :beam]  # (R, B)
    search.parents.copy_(parents.gather(1, goes_on))
    search.fed.copy_(tokens.gather(1, goes_on))
    search.scores.copy_(scores.gather(1, goes_on))
    cannot_be_overtaken = search.best >= search.scores[:, 0] / last
    search.is_done.logical_or_((search.finished >= beam) | cannot_be_overtaken | (position >= last))


def _continuations(search: BeamSearch, logits: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, parents and tokens of the best 2 · B continuations, the best first. # (R, 2B) each"""
    hypotheses, count, end, pad = logits.shape[1], 2 * search.beam, search.symbols.end, search.symbols.pad
    # log softmax(x) is x less one number: the likeliest tokens are found among the logits as they are.
    ends = torch.full_like(search.fed[:, :hypotheses], end).flatten()
    of_end, _ = losses_and_errors(
        logits.flatten(0, 1), ends, logits.shape[-1], None
    )  # (R · H,), −log p(</s>)
    of_end = of_end.view(-1, hypotheses, 1)
    logarithms = logits[..., end].unsqueeze(2) + of_end  # (R, H, 1)
    if pad is not None:
        logits[..., pad] = -torch.inf
    top, tokens = logits.topk(count)  # (R, H, 2B)
    top = top - logarithms
    must_end = (position >= search.rows.last)[:, None, None]  # (R, 1, 1)
    only_end = torch.full_like(top, -torch.inf)
    only_end[..., :1] = -of_end
    top = torch.where(must_end, only_end, top)
    tokens = torch.where(must_end, end, tokens)
    totals = top + search.scores[:, :hypotheses, None]
    scores, places = totals.flatten(1).topk(count)
    return scores, places // count, tokens.flatten(1).gather(1, places)


def _finish(search: BeamSearch, ends: Tensor, scores: Tensor, parents: Tensor, position: Tensor) -> None:
    """Count the continuations that end (R, B), and keep the best of them if it is the best so far."""
    first = ends.int().argmax(dim=1, keepdim=True)  # (R, 1): the best, as they are sorted
    score = (scores.gather(1, first) / position).squeeze(1)  # (R,)
    is_better = ends.any(dim=1) & ~search.is_done & (score > search.best)
    parent = parents.gather(1, first).unsqueeze(2).expand(-1, -1, search.texts.shape[1])  # (R, 1, L)
    text = search.tokens.gather(1, parent).squeeze(1)  # (R, L)
    text.index_fill_(1, position, search.symbols.end)
    search.texts.copy_(torch.where(is_better.unsqueeze(1), text, search.texts))
    search.ends.copy_(torch.where(is_better, position, search.ends))
    search.best.copy_(torch.where(is_better, score, search.best))
    search.finished.add_(ends.sum(dim=1))


@cache
def kernels_on(device: torch.device) -> Choose | None:
    """The same by kernels; None where there are none."""

    def load() -> Choose:
        from engine.decoding.beam_search_kernels import choose

        return choose

    return compiled("beam search", device, load, lambda kernels: check(kernels, device))


def check(kernels: Choose, device: torch.device) -> None:
    """Compare with torch's own, on rows one of which has to end, and of which some may.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    beam, vocabulary, end, pad = 5, 5_003, 3, 0
    rows = Rows(torch.tensor([[end, 7]] * 4), torch.tensor([9, 9, 4, 5])).to(device)
    position = torch.tensor([4], device=device)
    # Likely tokens of each hypothesis, no two of a row as likely as one another: a row's first hypotheses, as
    # many as its number, would rather end, and one would say what nobody may.
    likely = torch.randperm(vocabulary - 4, generator=torch.Generator().manual_seed(0))[: 8 * beam**2] + 4
    likely = likely.view(4, beam, 2 * beam)
    for row in range(4):
        likely[row, :row, -1] = end
    likely[0, 1, -1] = pad
    heights = 3 + torch.arange(2 * beam**2).view(2 * beam, beam).T / 8
    logits = drawn(4, beam, vocabulary, device=torch.device("cpu")).clamp(max=2)
    logits = logits.scatter(2, likely, heights.expand_as(likely)).to(device)
    for dtype in PRECISIONS:
        found, expected = (BeamSearch(rows, Symbols(end, pad), beam=beam, positions=10) for _ in range(2))
        for search, choose in ((found, kernels), (expected, by_torch)):
            search.scores.copy_(drawn(4, beam, device=device) / 100)
            search.tokens.copy_(torch.arange(200, device=device).view(4, beam, 10))
            choose(search, logits.to(dtype, copy=True), position)
        for name in found.parts:
            check_alike(getattr(found, name), getattr(expected, name), 1e-5)
