"""Greedy and beam search, against fairseq2's on small random languages in which many texts compete."""

from typing import Any

import pytest
import torch
from fairseq2.data.tokenizers import VocabularyInfo
from fairseq2.generation.beam_search.generator import BeamSearchSeq2SeqGenerator
from fairseq2.models.seq2seq import Seq2SeqModel
from fairseq2.nn import BatchLayout, IncrementalStateBag
from torch import Tensor

from engine.decoding.beam_search import BeamSearch
from engine.decoding.search import GreedySearch, Rows, Search, Symbols

LANGUAGES, VOCABULARY, LAST = 60, 24, 12
PAD, END = 0, 3
PROMPT = (END, 5)


def languages(seed: int) -> Tensor:
    """Logits of what follows each token at each position; `</s>` is likely. # (R, L, V, V)"""
    generator = torch.Generator().manual_seed(seed)
    tables = torch.randn(LANGUAGES, LAST, VOCABULARY, VOCABULARY, generator=generator) * 1.5
    tables[..., END] += 1.5
    return tables


class Language(Seq2SeqModel):
    """One of them, as a model whose logits depend on position and last token alone."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(max_source_seq_len=1, max_target_seq_len=100)
        self.table = torch.nn.Parameter(table)

    def forward(  # type: ignore[override]
        self, source: Any, source_layout: Any, tokens: Tensor, *_: Any, state_bag: IncrementalStateBag
    ) -> Tensor:
        return self.table[state_bag.step_nr + torch.arange(tokens.shape[1]), tokens]


def fairseq2s(table: Tensor, beam: int) -> list[int]:
    symbols = VocabularyInfo(VOCABULARY, unk_idx=1, bos_idx=2, eos_idx=END, pad_idx=PAD)
    most = LAST + 1 - len(PROMPT)
    generator = BeamSearchSeq2SeqGenerator(Language(table), symbols, beam_size=beam, max_gen_len=(0, most))
    source, prompt = torch.zeros(1, 1), torch.tensor([PROMPT])
    output = generator(source, BatchLayout.of(source), prompt, BatchLayout.of(prompt))
    tokens: list[int] = output.hypotheses[0][0].seq.tolist()
    return tokens


def ours(tables: Tensor, beam: int, kind: type[Search]) -> list[list[int]]:
    """What the search finds of all at once, told the logits of the tokens that it wants to be fed."""
    rows = Rows(torch.tensor([PROMPT] * len(tables)), torch.full((len(tables),), LAST))
    search = kind(rows, Symbols(END, PAD), beam=beam, positions=LAST + 1)
    every = torch.arange(len(tables)).unsqueeze(1)  # (R, 1)
    for position in range(1, LAST + 1):
        fed = search.fed if position > len(PROMPT) else search.fed[:, :1]  # (R, H)
        logits = tables[every, position - 1, fed]  # (R, H, V)
        tell = search.follow_prompt if position < len(PROMPT) else search.choose
        tell(logits, torch.tensor([position]))
    assert search.is_done.all()
    assert not search.is_broken.any()
    ends = search.ends.tolist()
    return [text[len(PROMPT) : end + 1] for text, end in zip(search.texts.tolist(), ends, strict=True)]


@pytest.mark.parametrize(
    ("kind", "beam"), [(GreedySearch, 1), *((BeamSearch, beam) for beam in (1, 2, 5, 12))]
)
def test_texts_are_those_of_fairseq2(kind: type[Search], beam: int) -> None:
    tables = languages(beam)
    found = ours(tables, beam, kind)
    assert found == [fairseq2s(table, beam) for table in tables]
    assert len({len(text) for text in found}) > 4


def test_a_row_is_done_when_nothing_can_overtake_its_text() -> None:
    tables = languages(0)
    rows = Rows(torch.tensor([PROMPT] * LANGUAGES), torch.full((LANGUAGES,), LAST))
    search = BeamSearch(rows, Symbols(END, PAD), beam=5, positions=LAST + 1)
    for token, following in ((PROMPT[0], PROMPT[1]), (PROMPT[1], 7), (7, END)):  # they say one word, and end
        tables[:, :, token] = -20.0
        tables[:, :, token, following] = 0.0
    every = torch.arange(LANGUAGES).unsqueeze(1)
    search.follow_prompt(tables[every, 0, search.fed[:, :1]], torch.tensor([1]))
    search.choose(tables[every, 1, search.fed[:, :1]], torch.tensor([2]))
    assert not search.is_done.any()
    search.choose(tables[every, 2, search.fed], torch.tensor([3]))
    assert search.is_done.all()
    assert search.texts[:, 2:4].tolist() == [[7, END]] * LANGUAGES
