"""Decoding, against fairseq2's own and against searches written out here that know no cache."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.generation.beam_search.generator import BeamSearchSeq2SeqGenerator
from fairseq2.models.nllb import NllbTokenizerConfig
from fairseq2.models.nllb.tokenizer import load_nllb_tokenizer
from fairseq2.nn import BatchLayout
from sonar.models.sonar_translation import SonarEncoderDecoderModel
from sonar.models.sonar_translation.model import DummyEncoderModel
from torch import Tensor

from engine.decoding import decode
from engine.decoding.reference import decode_with_pipeline
from engine.models.loaded import LoadedBundle
from engine.models.loading import load_bundle
from tests.engine.toy import sentencepiece_model

SENTENCES = ["I like cheese.", "Tom had a red ball.", "What is your name?", "She went home."]


def some_embeddings(bundle: LoadedBundle) -> Tensor:
    """Embeddings of sentences, and ones of no sentence. # (12, D)"""
    noise = torch.randn(8, bundle.dim, generator=torch.Generator().manual_seed(5))
    return torch.cat([bundle.encode(SENTENCES), noise * 2])


def with_noise(bundle: LoadedBundle, sentences: list[str], *, noise: float, seed: int) -> Tensor:
    """Embeddings of sentences, with noise of so many times their norm. # (N, D)"""
    embeddings = bundle.encode(sentences)
    added = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(seed))
    noisy: Tensor = embeddings + added * noise * embeddings.norm(dim=-1, keepdim=True) / bundle.dim**0.5
    return noisy


def random_directions(bundle: LoadedBundle, count: int) -> Tensor:
    """Embeddings of no sentence, with the norm of one's. # (N, D)"""
    directions = torch.randn(count, bundle.dim, generator=torch.Generator().manual_seed(7))
    normed: Tensor = directions / directions.norm(dim=-1, keepdim=True) * bundle.embedding_norm
    return normed


def bilingual_tokenizer() -> Tokenizer:
    """The toy tokenizer with a second language, whose symbol means nothing to the toy models."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokenizer.model"
        path.write_bytes(sentencepiece_model())
        languages = NllbTokenizerConfig(langs=["eng_Latn", "fra_Latn"], default_lang="eng_Latn")
        return load_nllb_tokenizer(path, languages)


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


@pytest.mark.parametrize("max_tokens", [0, 1, 2, 17, 1000])
@pytest.mark.parametrize("beam", [1, 2, 5])
def test_texts_are_fairseq2s_at_any_length(bundle: LoadedBundle, beam: int, max_tokens: int) -> None:
    embeddings = some_embeddings(bundle)
    expected = decode_with_pipeline(bundle, embeddings, beam=beam, max_tokens=max_tokens)
    assert decode(bundle, embeddings, beam=beam, max_tokens=max_tokens) == expected


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_texts_of_the_mini_models_are_fairseq2s(beam: int) -> None:
    mini = load_bundle("mini", device="cpu")
    stories = [*SENTENCES, "The dog was very happy to see her.", "We hold these truths to be self-evident."]
    embeddings = torch.cat(
        [
            mini.encode(stories),
            with_noise(mini, stories, noise=0.5, seed=1),
            with_noise(mini, stories, noise=1.0, seed=2),
            random_directions(mini, 6),
        ]
    )
    expected = decode_with_pipeline(mini, embeddings, beam=beam, max_tokens=30)
    assert decode(mini, embeddings, beam=beam, max_tokens=30) == expected
    assert len(set(expected)) > 16


@pytest.mark.parametrize("beam", [1, 5])
def test_texts_of_one_batch_may_differ_in_length(bundle: LoadedBundle, beam: int) -> None:
    embeddings = some_embeddings(bundle)
    most = [1, 40, 3, 12, 7, 2, 25, 9, 60, 5, 0, 33]
    expected = [
        decode_with_pipeline(bundle, embedding[None], beam=beam, max_tokens=tokens)[0]
        for embedding, tokens in zip(embeddings, most, strict=True)
    ]
    assert decode(bundle, embeddings, beam=beam, max_tokens=most) == expected


@pytest.mark.parametrize("beam", [1, 3])
def test_texts_of_one_batch_may_differ_in_language(bundle: LoadedBundle, beam: int) -> None:
    bilingual = replace(bundle, decoder_tokenizer=bilingual_tokenizer())
    embeddings = some_embeddings(bundle)
    languages = ["fra_Latn", None, "eng_Latn", "fra_Latn"] * 3
    texts = decode(bilingual, embeddings, beam=beam, max_tokens=12, language=languages)
    in_each = {
        language: decode_with_pipeline(bilingual, embeddings, beam=beam, max_tokens=12, language=language)
        for language in ("eng_Latn", "fra_Latn")
    }
    assert texts == [in_each[name or "eng_Latn"][place] for place, name in enumerate(languages)]
    assert in_each["eng_Latn"] != in_each["fra_Latn"]


def test_nothing_to_decode_gives_nothing(bundle: LoadedBundle) -> None:
    assert decode(bundle, torch.zeros(0, bundle.dim), beam=5, max_tokens=12) == []


@pytest.mark.parametrize("beam", [1, 2])
def test_logits_that_are_no_numbers_are_an_error(bundle: LoadedBundle, beam: int) -> None:
    embeddings = some_embeddings(bundle)
    embeddings[3] = torch.nan
    with pytest.raises(FloatingPointError, match="not numbers"):
        decode(bundle, embeddings, beam=beam, max_tokens=12)


def test_more_embeddings_than_fit_at_once_come_back_in_order(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = some_embeddings(bundle)
    expected = decode(bundle, embeddings, beam=2, max_tokens=8)
    monkeypatch.setattr("engine.decoding.texts.MOST_LOGITS", 4 * 2 * bundle.decoder_tokenizer.vocab_info.size)
    assert decode(bundle, embeddings, beam=2, max_tokens=8) == expected


def test_a_text_does_not_depend_on_the_batch(bundle: LoadedBundle) -> None:
    embeddings = some_embeddings(bundle)
    alone = [decode(bundle, embedding[None], beam=3, max_tokens=10)[0] for embedding in embeddings]
    assert decode(bundle, embeddings, beam=3, max_tokens=10) == alone


def test_decoding_leaves_no_graph_and_takes_any_precision(bundle: LoadedBundle) -> None:
    embeddings = some_embeddings(bundle)
    expected = decode(bundle, embeddings, beam=2, max_tokens=6)
    assert decode(bundle, embeddings.double().requires_grad_(), beam=2, max_tokens=6) == expected
