"""Everything that a training of the mini models can be told."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from engine.errors import UserError
from engine.mini.architecture import MINI, Sizes


@dataclass(frozen=True)
class Settings:
    """The defaults are what the shipped weights were trained with; the model card says what came of them."""

    sizes: Sizes = field(default=MINI)
    seed: int = 0

    longest: int = 46
    """Tokens of the longest sentence that is trained on, control symbols not counted."""

    autoencoder_steps: int = 28_000
    autoencoder_tokens: int = 16_384
    """Tokens in a batch of the auto-encoder, control symbols counted."""
    autoencoder_lr: float = 2e-3
    autoencoder_warmup: int = 400
    noise: float = 0.1
    """The most noise on an embedding, as a part of its norm; each sentence draws its own from 0 to this."""
    changed_share: float = 0.8
    """Part of the auto-encoder's sentences that are spliced or have random tokens."""

    generator_hidden: int = 768
    generator_ffn_dim: int = 1_024
    generator_layers: int = 2
    generator_heads: int = 6
    generator_head_dim: int = 64
    generator_steps: int = 11_500
    generator_lr: float = 2e-3
    generator_warmup: int = 200
    generator_weight_decay: float = 0.1
    generator_dropout: float = 0.4
    generator_noise: float = 0.3
    """The most noise on the embeddings that the generator is given, as a part of their norm."""
    decoder_lr: float = 1e-3
    """Learning rate of the decoder while it is trained with the generator."""

    reconstructed_tokens: int = 16_384
    """Tokens in the batch of sentences that the decoder has to give back besides, in each of those steps."""

    context: int = 16
    """The most sentences before a predicted one."""
    story_rows: int = 32
    """Windows of `context` sentences in a batch of the generator."""
    pair_rows: int = 384
    """Windows of two sentences in it: what is predicted from one sentence alone, or from two."""
    tinystories_share: float = 0.9
    """Part of the windows of stories that is TinyStories; the rest are the richer bedtime stories."""
    spoken_share: float = 0.5
    """Part of the windows of two sentences that is taken from what people say in all of them."""
    same_topic_share: float = 0.5
    """Part of the windows of two sentences whose second sentence shares a telling word with the first."""

    evaluated_sentences: int = 1_000
    """Held-out sentences of each source that are encoded and decoded."""
    steered_sentences: int = 20
    """Held-out sentences that are optimised for."""

    def with_changes(self, assignments: Sequence[str]) -> "Settings":
        """Apply `name=value` texts; the sizes' names are taken too.

        Raises:
            UserError: a name is unknown or a value has the wrong type.
        """
        settings, sizes = self, self.sizes
        for assignment in assignments:
            name, _, text = assignment.partition("=")
            if name in _names(sizes):
                sizes = replace(sizes, **{name: _parse(name, text, getattr(sizes, name))})
            elif name in _names(settings) - {"sizes"}:
                settings = replace(settings, **{name: _parse(name, text, getattr(settings, name))})
            else:
                allowed = ", ".join(sorted(_names(settings) - {"sizes"} | _names(sizes)))
                raise UserError(f"--set {assignment}: unknown name; there are {allowed}")
        return replace(settings, sizes=sizes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _names(settings: Settings | Sizes) -> set[str]:
    return {entry.name for entry in fields(settings)}


def _parse(name: str, text: str, default: int | float) -> Any:
    kind = type(default)
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"--set {name}={text}: expected a number of type {kind.__name__}") from None
