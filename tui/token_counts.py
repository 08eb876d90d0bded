"""How long the sentences of a form are for the bundle that is chosen, in tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine import tokens
from engine.bundles import find_bundle, known_bundle
from engine.options import OPTIONS
from engine.texts import MAX_TEXT_CHARACTERS
from tui.form_fields import FIELDS, Values, is_shown, keys_of_texts

_CONTROL_TOKENS: Mapping[str, int] = {
    "init_text": tokens.SOURCE_CONTROL_TOKENS,
    "target": tokens.TARGET_CONTROL_TOKENS,
    **dict.fromkeys(keys_of_texts("continuation"), tokens.TARGET_CONTROL_TOKENS),
    **{
        key: tokens.SOURCE_CONTROL_TOKENS
        for name in (
            "before",
            "context",
            *(f"option_{name}" for name, option in OPTIONS.items() if isinstance(option.default, tuple)),
        )
        for key in keys_of_texts(name)
    },
}
"""The sentences, and how many tokens are put round each."""


@dataclass(frozen=True)
class Measured:
    """What was measured: a sentence, by the field's key, and the bundle whose tokenizer did it."""

    key: str
    bundle: str
    text: str


@dataclass(frozen=True)
class Length:
    """A sentence's length."""

    count: int | None
    """None: the bundle's tokenizer is not on disk, or cannot be read."""

    allowed: int

    @property
    def is_too_long(self) -> bool:
        """Whether encoder or decoder cannot take it."""
        return self.count is not None and self.count > self.allowed

    def __str__(self) -> str:
        if self.count is None:
            return f"at most {self.allowed} tokens; counted when the models are loaded"
        return f"{self.count} of {self.allowed} tokens{': too long' if self.is_too_long else ''}"


def to_measure(values: Values) -> list[Measured]:
    """The sentences whose length can be told."""
    return [
        Measured(key, values["bundle"], values[key])
        for key in _CONTROL_TOKENS
        if known_bundle(values["bundle"]) is not None
        and 0 < len(values[key].strip()) <= len(values[key]) <= MAX_TEXT_CHARACTERS
        and is_shown(FIELDS[key], values)
    ]


def measure(sentence: Measured) -> Length:
    """Count tokens; reads the tokenizer at first, which takes a while."""
    bundle = find_bundle(sentence.bundle)
    try:
        count = tokens.count_tokens(bundle, sentence.text)
    except (OSError, RuntimeError, ValueError):
        count = None
    return Length(count, bundle.max_tokens - _CONTROL_TOKENS[sentence.key])
