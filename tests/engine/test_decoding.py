"""Decoding, against a search that is written out here and never uses the decoder's incremental state."""

import torch
from fairseq2.generation.beam_search.generator import BeamSearchSeq2SeqGenerator
from fairseq2.nn import BatchLayout
from sonar.models.sonar_translation import SonarEncoderDecoderModel
from sonar.models.sonar_translation.model import DummyEncoderModel
from torch import Tensor

from engine.decoding import decode
from engine.models.loaded import LoadedBundle

SENTENCES = ["I like cheese.", "Tom had a red ball.", "What is your name?", "She went home."]


def some_embeddings(bundle: LoadedBundle) -> Tensor:
    """Embeddings of sentences, and ones of no sentence. # (12, D)"""
    noise = torch.randn(8, bundle.dim, generator=torch.Generator().manual_seed(5))
    return torch.cat([bundle.encode(SENTENCES), noise * 2])


def greedy(bundle: LoadedBundle, embedding: Tensor, max_tokens: int) -> str:
    """The likeliest token again and again, from logits of the whole text so far."""
    vocabulary = bundle.decoder_tokenizer.vocab_info
    prefix = bundle.decoder_tokenizer.create_encoder(lang="eng_Latn", mode="target").prefix_indices
    assert prefix is not None
    tokens = prefix[None]
    source = embedding[None, None].to(bundle.dtype)
    for _ in range(max_tokens):
        with torch.no_grad():
            logits = bundle.decoder(source, BatchLayout.of(source), tokens, BatchLayout.of(tokens))[0, -1]
        logits[vocabulary.pad_idx] = -torch.inf
        best = logits.argmax()
        if best == vocabulary.eos_idx:
            break
        tokens = torch.cat([tokens, best[None, None]], dim=1)
    return bundle.decoder_tokenizer.create_decoder()(tokens[0, len(prefix) :])


def test_beam_1_is_greedy_search(bundle: LoadedBundle) -> None:
    embeddings = some_embeddings(bundle)
    texts = decode(bundle, embeddings, beam=1, max_tokens=12)
    assert texts == [greedy(bundle, embedding, 12) for embedding in embeddings]
    assert len(set(texts)) > 8


def test_beam_5_is_fairseq2s_search(bundle: LoadedBundle) -> None:
    embeddings = some_embeddings(bundle)
    generator = BeamSearchSeq2SeqGenerator(
        SonarEncoderDecoderModel(DummyEncoderModel(), bundle.decoder),
        bundle.decoder_tokenizer.vocab_info,
        beam_size=5,
        max_gen_len=(0, 13),
    )
    prefix = bundle.decoder_tokenizer.create_encoder(lang="eng_Latn", mode="target").prefix_indices
    assert prefix is not None
    expected = []
    for embedding in embeddings:
        source, prompt = embedding[None], prefix[None]
        output = generator(source, BatchLayout.of(source), prompt, BatchLayout.of(prompt))
        expected.append(bundle.decoder_tokenizer.create_decoder()(output.hypotheses[0][0].seq))
    assert decode(bundle, embeddings, beam=5, max_tokens=12) == expected


def test_a_text_has_no_more_tokens_than_allowed(bundle: LoadedBundle) -> None:
    embeddings = some_embeddings(bundle)
    longer = decode(bundle, embeddings, beam=1, max_tokens=12)
    texts = decode(bundle, embeddings, beam=1, max_tokens=3)
    assert texts == [greedy(bundle, embedding, 3) for embedding in embeddings]
    assert sum(len(text) < len(long) for text, long in zip(texts, longer, strict=True)) > 8


def test_a_text_ends_where_the_decoders_positions_end(bundle: LoadedBundle) -> None:
    pieces = bundle.decoder_tokenizer.create_raw_encoder()
    for text in decode(bundle, some_embeddings(bundle), beam=1, max_tokens=1000):
        assert len(pieces(text)) <= bundle.bundle.max_tokens


def test_a_text_does_not_depend_on_the_batch(bundle: LoadedBundle) -> None:
    embeddings = some_embeddings(bundle)
    alone = [decode(bundle, embedding[None], beam=3, max_tokens=10)[0] for embedding in embeddings]
    assert decode(bundle, embeddings, beam=3, max_tokens=10) == alone


def test_decoding_leaves_no_graph_and_takes_any_precision(bundle: LoadedBundle) -> None:
    embeddings = some_embeddings(bundle)
    expected = decode(bundle, embeddings, beam=2, max_tokens=6)
    assert decode(bundle, embeddings.double().requires_grad_(), beam=2, max_tokens=6) == expected
