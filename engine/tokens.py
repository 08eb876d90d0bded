"""Measure texts in tokens without loading a model: the viewer's check before anything is queued."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from engine.bundles import Bundle, check_language, find_bundle
from engine.errors import UserError
from engine.spec import RunSpec, TextInit

SOURCE_CONTROL_TOKENS = 2
"""`__lang__` before the text and `</s>` after it, for the encoder."""

TARGET_CONTROL_TOKENS = 3
"""`</s> __lang__` before the text and `</s>` after it, for the decoder."""


_SPACE = "▁"
"""How SentencePiece writes a space, U+2581."""


def count_tokens(bundle: Bundle, text: str) -> int | None:
    """Number of the text's own tokens, control symbols left out; None when the tokenizer is not on disk."""
    if bundle.tokenizer_model is None or not bundle.tokenizer_model.is_file():
        return None
    return len(_processor(bundle.tokenizer_model).encode(text))


def target_pieces(
    bundle: Bundle, targets: str | Sequence[str], language: str | None = None
) -> list[str] | None:
    """What the decoder has to predict, token by token, as text: the names of a row's token losses.

    For each sentence `__lang__` first, then its pieces with their leading spaces, then `</s>`.

    Args:
        bundle: Whose tokenizer it is.
        targets: The target sentence, or several in their order.
        language: In which embeddings are decoded; None: the bundle's own.

    Returns:
        None when the tokenizer is not on disk.
    """
    if bundle.tokenizer_model is None or not bundle.tokenizer_model.is_file():
        return None
    pieces: list[str] = []
    for target in [targets] if isinstance(targets, str) else targets:
        words: list[str] = _processor(bundle.tokenizer_model).encode(target, out_type=str)
        named = (word.replace(_SPACE, " ") for word in words)
        pieces += [f"__{language or bundle.language}__", *named, "</s>"]
    return pieces


def check_lengths(spec: RunSpec) -> None:
    """Check the spec's texts and languages against the limits of its bundle.

    Where the bundle's tokenizer is not on disk yet, the worker makes the same check once it is.

    Raises:
        UserError: the bundle is unknown or does not have a language, or a text is longer than the encoder or
            decoder can take.
    """
    bundle = find_bundle(spec.bundle)
    for field, language in (("source_lang", spec.source_lang), ("target_lang", spec.target_lang)):
        if language is not None:
            check_language(field, language, bundle)
    for field, text, control_tokens in _texts(spec):
        count, allowed = count_tokens(bundle, text), bundle.max_tokens - control_tokens
        if count is not None and count > allowed:
            raise UserError(f"{field}: {count} tokens; bundle {bundle.name} takes at most {allowed}")


def _texts(spec: RunSpec) -> Iterator[tuple[str, str, int]]:
    """Each text, what it is called, and how many tokens are put round it."""
    yield from _numbered("target", spec.sentences, TARGET_CONTROL_TOKENS)
    if isinstance(spec.init, TextInit):
        yield "init", spec.init.text, SOURCE_CONTROL_TOKENS
    yield from _numbered("before", spec.before, SOURCE_CONTROL_TOKENS)
    yield from _numbered("context", spec.context, SOURCE_CONTROL_TOKENS)
    for name, value in spec.options.items():
        if isinstance(value, tuple):
            yield from _numbered(name, value, SOURCE_CONTROL_TOKENS)


def _numbered(field: str, texts: Sequence[str], control_tokens: int) -> Iterator[tuple[str, str, int]]:
    """Texts of one field: from the second on they have a number."""
    for number, text in enumerate(texts, 1):
        yield field if number == 1 else f"{field} {number}", text, control_tokens


@cache
def _processor(model: Path) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_file=str(model))
