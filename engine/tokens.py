"""Measure texts in tokens without loading a model: the viewer's check before anything is queued."""

from functools import cache
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from engine.bundles import Bundle, find_bundle
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


def target_pieces(bundle: Bundle, target: str) -> list[str] | None:
    """What the decoder has to predict, token by token, as text: the names of a row's token losses.

    `__lang__` first, then the target's pieces with their leading spaces, then `</s>`.
    None when the tokenizer is not on disk.
    """
    if bundle.tokenizer_model is None or not bundle.tokenizer_model.is_file():
        return None
    pieces: list[str] = _processor(bundle.tokenizer_model).encode(target, out_type=str)
    return [f"__{bundle.language}__", *(piece.replace(_SPACE, " ") for piece in pieces), "</s>"]


def check_lengths(spec: RunSpec) -> None:
    """Check the spec's texts against the limits of its bundle.

    Where the bundle's tokenizer is not on disk yet, the worker makes the same check once it is.

    Raises:
        UserError: the bundle is unknown, or a text is longer than the encoder or decoder can take.
    """
    bundle = find_bundle(spec.bundle)
    texts = [("target", spec.target, TARGET_CONTROL_TOKENS)]
    if isinstance(spec.init, TextInit):
        texts.append(("init", spec.init.text, SOURCE_CONTROL_TOKENS))
    for field, text, control_tokens in texts:
        count, allowed = count_tokens(bundle, text), bundle.max_tokens - control_tokens
        if count is not None and count > allowed:
            raise UserError(f"{field}: {count} tokens; bundle {bundle.name} takes at most {allowed}")


@cache
def _processor(model: Path) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_file=str(model))
