"""Embeddings to text."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from engine.decoding.batch import decode_step_by_step
from engine.decoding.graphs import GraphDecoder
from engine.decoding.incremental import IncrementalDecoder
from engine.decoding.search import Rows, Symbols
from engine.fast.graph import capture_on
from engine.models.loaded import LoadedBundle

MOST_LOGITS = 2**27
"""A batch has at most so many logits at a position: half a gigabyte in float32."""


_graphs: WeakKeyDictionary[LoadedBundle, GraphDecoder] = WeakKeyDictionary()


@torch.inference_mode()
def decode(
    bundle: LoadedBundle,
    embeddings: Tensor,
    *,
    beam: int,
    max_tokens: int | Sequence[int],
    language: str | Sequence[str | None] | None = None,
    together: int | None = None,
) -> list[str]:
    """Decode N embeddings together, by fairseq2's beam search.

    Give many embeddings all at once: the weights are read once a position for all, and those whose text is
    found leave the batch. Greedy search (`beam=1`) takes about a fifth of beam 5's time.

    But for rounding a text does not depend on the embeddings beside it. Matrix products of other shapes round
    otherwise, in the last bits of the log-probabilities (about 1e-6 in float32, 1e-2 in bfloat16), which
    matters where two continuations are as likely as that. The same call on the same device gives the same
    texts.

    On CUDA it works on the current stream, so that under `torch.cuda.stream` it runs beside other work, and
    returns when the texts are there. The first call of a shape (rows, beam, length) captures its graphs.

    Args:
        bundle: whose decoder speaks.
        embeddings: (N, D), finite.
        beam: hypotheses kept for each embedding; 1 is greedy.
        max_tokens: most tokens of a text, so that endless repetition comes to an end; of all or of each. The
            decoder's own limit holds besides.
        language: to decode into, as the bundle's tokenizer names it, of all or of each; None: the bundle's
            own.
        together: on CUDA, decode so many embeddings at once, a power of two, with empty places where there
            are fewer: then a text does not depend on how many there are. None: as many as there are.

    Returns:
        N texts, as the model made them: they may hold anything, control characters too.

    Raises:
        FloatingPointError: the decoder's logits are not numbers.
    """
    count = len(embeddings)
    if count == 0:
        return []
    graphs = _graphs_of(bundle) if bundle.device.type == "cuda" else None
    decoder = IncrementalDecoder(bundle.decoder) if graphs is None else graphs.decoder
    most = [max_tokens] * count if isinstance(max_tokens, int) else list(max_tokens)
    languages = [language] * count if language is None or isinstance(language, str) else list(language)
    rows = _rows(bundle, most, languages, decoder.max_positions)
    sources = embeddings.to(bundle.device, bundle.dtype)
    vocabulary = bundle.decoder_tokenizer.vocab_info
    if vocabulary.eos_idx is None:
        raise ValueError("the tokenizer has no </s>")
    symbols = Symbols(vocabulary.eos_idx, vocabulary.pad_idx)
    at_once = texts_at_once(beam, vocabulary.size, together=together)
    to_text = bundle.decoder_tokenizer.create_decoder(skip_special_tokens=True)
    texts = []
    for first in range(0, count, at_once):
        some = slice(first, first + at_once)
        if graphs is not None:
            least = 1 if together is None else at_once
            found = graphs(sources[some], rows.chosen(some), symbols, beam=beam, least=least)
        else:
            found = decode_step_by_step(decoder, sources[some], rows.chosen(some), symbols, beam=beam)
        texts += [to_text(tokens) for tokens in found]
    return texts


def texts_at_once(beam: int, vocabulary: int, *, together: int | None = None) -> int:
    """Texts in a batch: a power of two.

    Args:
        beam: hypotheses of each.
        vocabulary: tokens that each has logits of.
        together: as to `decode`.
    """
    most = 1 << max(0, (MOST_LOGITS // (beam * vocabulary)).bit_length() - 1)
    return most if together is None else min(together, most)


def kept_bytes(bundle: LoadedBundle) -> int:
    """Bytes of what `let_go` frees: of the keys and values at least, by far the most of it."""
    graphs = _graphs.get(bundle)
    return 0 if graphs is None else graphs.nbytes


def let_go(bundle: LoadedBundle) -> None:
    """Free what is kept ready on the card for decoding with a bundle; it is made anew when it is needed."""
    _graphs.pop(bundle, None)


def _graphs_of(bundle: LoadedBundle) -> GraphDecoder:
    graphs = _graphs.get(bundle)  # once: another thread may let go of them meanwhile
    if graphs is None:
        decoder = IncrementalDecoder(bundle.decoder)
        graphs = _graphs[bundle] = GraphDecoder(decoder, capture_on(bundle.device, "decoding"))
    return graphs


def _rows(bundle: LoadedBundle, most: list[int], languages: list[str | None], max_positions: int) -> Rows:
    """How texts of at most so many tokens begin and end."""
    prompts = {name: _prompt(bundle, name or bundle.bundle.language) for name in set(languages)}
    length = len(next(iter(prompts.values())))
    last = [min(length + tokens, max_positions - 1) for tokens in most]
    return Rows(torch.stack([prompts[name] for name in languages]), torch.tensor(last))


def _prompt(bundle: LoadedBundle, language: str) -> Tensor:
    """Tokens that a text in a language begins with. # (P,)"""
    tokenize = bundle.decoder_tokenizer.create_encoder(task="translation", lang=language, mode="target")
    if tokenize.prefix_indices is None:
        raise ValueError(f"the tokenizer begins no text in {language}")
    return tokenize.prefix_indices
