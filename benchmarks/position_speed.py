"""How long a position takes that is decoded: this program's decoding, and fairseq2's own beam search."""

import time
from collections.abc import Callable
from typing import Any

import torch
from fairseq2.data.tokenizers import VocabularyInfo
from fairseq2.generation.beam_search.generator import BeamSearchSeq2SeqGenerator
from fairseq2.nn import BatchLayout
from sonar.models.sonar_translation import SonarEncoderDecoderModel
from sonar.models.sonar_translation.model import DummyEncoderModel
from torch import Tensor

from benchmarks.random_models import NORM, RandomBundle
from engine.decoding.batch import decode_step_by_step
from engine.decoding.graphs import GraphDecoder
from engine.decoding.incremental import IncrementalDecoder
from engine.decoding.search import Rows, Symbols
from engine.fast.graph import capture_on

PROMPT = (3, 7)
"""`</s>` and a language."""

PAD = 0
_TIMES = 3

Decoding = Callable[[], list[Tensor]]
"""Decodes the same embeddings again; tokens of each text, its prompt left out."""


def some_embeddings(bundle: RandomBundle, rows: int) -> Tensor:
    """(R, D), in the weights' precision."""
    drawn = torch.randn(rows, bundle.dim, generator=torch.Generator().manual_seed(1))
    embeddings: Tensor = drawn / drawn.norm(dim=-1, keepdim=True) * NORM
    return embeddings.to(bundle.device, bundle.dtype)


def our_decoding(bundle: RandomBundle, *, rows: int, beam: int, most: int) -> Decoding:
    """As runs are decoded on the bundle's device; texts have at most so many tokens."""
    decoder, embeddings = IncrementalDecoder(bundle.decoder), some_embeddings(bundle, rows)
    texts = Rows(torch.tensor([PROMPT] * rows), torch.full((rows,), len(PROMPT) + most))
    symbols = Symbols(PROMPT[0], PAD)
    graphs = GraphDecoder(decoder, capture_on(bundle.device, "decoding"))

    @torch.inference_mode()
    def decoding() -> list[Tensor]:
        if bundle.device.type == "cuda":
            return graphs(embeddings, texts, symbols, beam=beam)
        return decode_step_by_step(decoder, embeddings, texts, symbols, beam=beam)

    return decoding


def fairseq2_decoding(bundle: RandomBundle, *, rows: int, beam: int, most: int) -> Decoding:
    """As sonar-space's pipeline does it, without the pipeline; texts have at most so many tokens."""
    frontend: Any = bundle.decoder.decoder_frontend
    vocabulary = frontend.embed.num_embeddings
    generator = BeamSearchSeq2SeqGenerator(
        SonarEncoderDecoderModel(DummyEncoderModel(), bundle.decoder),
        VocabularyInfo(vocabulary, unk_idx=1, bos_idx=2, eos_idx=PROMPT[0], pad_idx=PAD),
        beam_size=beam,
        max_gen_len=(0, most + 1),
    )
    embeddings = some_embeddings(bundle, rows)
    prompt = torch.tensor([PROMPT] * rows, device=bundle.device)

    @torch.inference_mode()
    def decoding() -> list[Tensor]:
        found = generator(embeddings, BatchLayout.of(embeddings), prompt, BatchLayout.of(prompt))
        return [of_row[0].seq for of_row in found.hypotheses]

    return decoding


def position_ms(decoding: Decoding, device: torch.device, *, times: int = _TIMES) -> float:
    """Milliseconds of each position that the decoder is fed, the least of some times; it has run before."""
    found = []
    for _ in range(times):
        _wait(device)
        began = time.perf_counter()
        texts = decoding()
        _wait(device)
        found.append((time.perf_counter() - began) * 1e3 / positions(texts))
    return min(found)


def positions(texts: list[Tensor]) -> int:
    """That were fed for the longest text: its prompt, and all of it but `</s>`."""
    return len(PROMPT) + max(map(len, texts)) - 1


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
