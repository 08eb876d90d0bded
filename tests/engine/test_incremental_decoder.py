"""The decoder's steps, against its own forward pass over the whole text under teacher forcing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from fairseq2.nn import BatchLayout
from torch import Tensor

from engine.decoding.batch import Batch, decode_step_by_step
from engine.decoding.graphs import GraphDecoder, positions_for
from engine.decoding.incremental import IncrementalDecoder
from engine.decoding.search import Rows, Symbols
from engine.fast.alone import ALONE
from engine.models.loaded import LoadedBundle
from tests.engine.fast.recorded_graph import RecordedGraphs

ROWS, POSITIONS = 4, 11
PROMPT = (2, 5)


def embeddings_of(bundle: LoadedBundle, rows: int = ROWS) -> Tensor:
    return torch.randn(rows, bundle.dim, generator=torch.Generator().manual_seed(3)).to(bundle.dtype) * 2


def symbols_of(bundle: LoadedBundle) -> Symbols:
    vocabulary = bundle.decoder_tokenizer.vocab_info
    assert vocabulary.eos_idx is not None
    return Symbols(vocabulary.eos_idx, vocabulary.pad_idx)


def whole(bundle: LoadedBundle, embeddings: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities after each position of whole texts. # (R, D), (R, T) to (R, T, V)"""
    source = embeddings.unsqueeze(1)
    logits = bundle.decoder(source, BatchLayout.of(source), tokens, BatchLayout.of(tokens))
    return logits.log_softmax(dim=-1)


@pytest.mark.parametrize("fixed_shapes", [False, True])
@pytest.mark.parametrize("beam", [1, 2, 5])
def test_steps_are_the_decoders_own_pass(bundle: LoadedBundle, beam: int, fixed_shapes: bool) -> None:
    """Random tokens, and random hypotheses that go on: each is what the whole of its own past gives."""
    random = torch.Generator().manual_seed(beam)
    embeddings = embeddings_of(bundle)
    size = bundle.decoder_tokenizer.vocab_info.size
    decoder = IncrementalDecoder(bundle.decoder)
    cache = decoder.start(embeddings, hypotheses=beam, positions=4)
    if fixed_shapes:
        cache.extend(POSITIONS)
    position = torch.zeros(1, dtype=torch.int64)
    pasts = torch.randint(1, size, (ROWS, 1, 1), generator=random)  # (R, H, T)
    for fed in range(POSITIONS - 1):
        if fed + 1 == cache.positions:
            cache.extend(POSITIONS)
        extent = None if fixed_shapes else fed + 1
        logits = decoder(pasts[:, :, -1], position, cache, extent=extent)
        for hypothesis in range(pasts.shape[1]):
            expected = whole(bundle, embeddings, pasts[:, hypothesis])[:, -1]
            found = logits[:, hypothesis].log_softmax(dim=-1)
            torch.testing.assert_close(found[:, :size], expected, atol=1e-5, rtol=1e-5)
            assert (found[:, size:] == -torch.inf).all()
        position += 1
        if fed >= 1:  # the prompt, of two tokens, has one hypothesis
            parents = torch.randint(0, pasts.shape[1], (ROWS, beam), generator=random)
            cache.descend(parents, position)
            pasts = pasts.gather(1, parents.unsqueeze(2).expand(-1, -1, fed + 1))
        else:
            cache.follow(position)
        fresh = torch.randint(1, size, (*pasts.shape[:2], 1), generator=random)
        pasts = torch.cat([pasts, fresh], dim=2)


@pytest.mark.parametrize("beam", [2, 4])
def test_a_texts_score_is_that_of_the_whole(double_bundle: LoadedBundle, beam: int) -> None:
    """Texts of one token and of none, all scored: the search gives the best of those that it considers."""
    embeddings = embeddings_of(double_bundle)
    rows = Rows(torch.tensor([PROMPT] * ROWS), torch.tensor([3] * ROWS))
    decoder, symbols = IncrementalDecoder(double_bundle.decoder), symbols_of(double_bundle)
    found = decode_step_by_step(decoder, embeddings, rows, symbols, beam=beam)
    for embedding, tokens in zip(embeddings, found, strict=True):
        prompt = torch.tensor([PROMPT])
        begun = whole(double_bundle, embedding[None], prompt)[0]
        of_prompt, first = begun[0, PROMPT[1]], begun[1].clone()
        first[symbols.pad or 0] = -torch.inf
        scores: dict[tuple[int, ...], float] = {(symbols.end,): float(of_prompt + first[symbols.end]) / 2}
        tried = [int(token) for token in first.topk(2 * beam).indices if token != symbols.end][:beam]
        if symbols.end not in first.topk(beam).indices:  # only a finish among the best `beam` counts
            scores.clear()
        for token in tried:
            text = torch.tensor([[*PROMPT, token]])
            last = whole(double_bundle, embedding[None], text)[0, -1, symbols.end]
            scores[token, symbols.end] = float(of_prompt + first[token] + last) / 3
        assert tuple(tokens.tolist()) == max(scores, key=scores.__getitem__)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("captured", [False, True])
def test_fixed_shapes_give_the_same_texts_again_and_again(
    bundle: LoadedBundle, beam: int, captured: bool
) -> None:
    decoder, symbols = IncrementalDecoder(bundle.decoder), symbols_of(bundle)
    recorded = RecordedGraphs()
    graphs = GraphDecoder(decoder, recorded if captured else None)
    for rows, last in ((5, 20), (7, 22), (1, 9), (8, 20)):
        embeddings = embeddings_of(bundle, rows)
        limits = Rows(torch.tensor([PROMPT] * rows), torch.tensor([last - row for row in range(rows)]))
        expected = decode_step_by_step(decoder, embeddings, limits, symbols, beam=beam)
        found = graphs(embeddings, limits, symbols, beam=beam)
        assert [text.tolist() for text in found] == [text.tolist() for text in expected]
    # Of eight rows: the beginning, the prompt, the first token, the others. Of one, once: the others.
    assert recorded.captures == (5 if captured else 0)
    assert recorded.replays > 40 or not captured


def test_whoever_decodes_is_alone_with_the_models(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that decodes holds what the others wait for, and no two can wait for one another."""
    was_free: list[bool] = []
    bytes_kept: list[int] = []
    found = Batch.found

    def is_free() -> bool:
        if free := ALONE.acquire(blocking=False):
            ALONE.release()
        return free

    def seen(batch: Batch) -> list[Tensor]:
        with ThreadPoolExecutor(max_workers=1) as another:
            was_free.append(another.submit(is_free).result())
            bytes_kept.append(another.submit(lambda: graphs.nbytes).result())
        return found(batch)

    monkeypatch.setattr(Batch, "found", seen)
    graphs = GraphDecoder(IncrementalDecoder(bundle.decoder), None)
    limits = Rows(torch.tensor([PROMPT]), torch.tensor([9]))
    graphs(embeddings_of(bundle, 1), limits, symbols_of(bundle), beam=2)
    assert was_free == [False]
    assert is_free()
    assert bytes_kept == [graphs.nbytes] != [0], "nobody waits for texts to know what is kept"


@pytest.mark.parametrize(
    ("last", "positions"), [(2, 24), (23, 24), (24, 32), (31, 32), (32, 48), (48, 64), (511, 512)]
)
def test_few_lengths_have_room_for_all(last: int, positions: int) -> None:
    assert positions_for(last) == positions


def test_rows_that_are_done_leave_the_batch(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    step = Batch.step

    def counted(batch: Batch, fed: int, *, extent: int | None) -> None:
        sizes.append(len(batch.search.is_done))
        step(batch, fed, extent=extent)

    monkeypatch.setattr(Batch, "step", counted)
    rows = Rows(torch.tensor([PROMPT] * 8), torch.tensor([3, 3, 3, 3, 3, 3, 30, 40]))
    decode_step_by_step(
        IncrementalDecoder(bundle.decoder), embeddings_of(bundle, 8), rows, symbols_of(bundle), beam=1
    )
    assert sizes[:4] == [8, 8, 8, 2]
