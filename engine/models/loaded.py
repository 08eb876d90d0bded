"""The loaded, frozen models of a bundle, and what an optimisation asks of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import torch
from fairseq2.data.tokenizers import TokenEncoder, Tokenizer
from fairseq2.error import NotSupportedError
from sonar.inference_pipelines.text import EmbeddingToTextModelPipeline, TextToEmbeddingModelPipeline
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from engine.bundles import Bundle
from engine.errors import UserError
from engine.fast.alone import ALONE
from engine.fast.cross_entropy import projected_cross_entropy
from engine.fast.decoder import FastDecoder
from engine.fast.generator import FastGenerator
from engine.fast.inductor import Compiled
from engine.models.generator import SonarLLM
from engine.models.prior import load_prior
from engine.tokens import SOURCE_CONTROL_TOKENS, TARGET_CONTROL_TOKENS

SIMPLE_SENTENCES = (
    "I like cheese.",
    "The dog is happy.",
    "She went to the park with her mother.",
    "It was a sunny day.",
    "He had a big red ball.",
    "The children played in the garden.",
    "Tom was very tired.",
    "They saw a bird in the tree.",
)
"""The norm of a random z is the mean norm of these sentences' embeddings."""


TEXTS_TOGETHER = 32
"""So many texts are encoded in one batch: more of them are padded more than they gain."""

REMEMBERED_TEXTS = 1024
"""The embeddings of so many texts are kept, those that were asked for last."""

PARAMETERS_A_THREAD = 25_000_000
"""The mini models, of 25 M, are on two free cores no faster with two threads (30 ms a step), and on two busy
ones ten times slower."""

_MOST_THREADS = torch.get_num_threads()
"""What torch takes: the cores, or what OMP_NUM_THREADS says."""


@dataclass(frozen=True, eq=False)
class Targets:
    """N target sentences for teacher forcing, padded to the longest.

    A target is `</s> __lang__ … </s>`: the decoder is fed all but the last token and predicts all but the
    first.
    """

    fed: Tensor
    """Tokens that the decoder is fed. # (N, T)"""

    expected: Tensor
    """Tokens that it should predict. # (N, T)"""

    mask: Tensor
    """True where an expected token is real, False where it is padding. # (N, T)"""

    beginning: Tensor
    """What the decoder makes of the fed tokens before it looks at an embedding. # (N, T, D)"""

    lengths: tuple[int, ...]
    """Number of each sentence's own tokens, control symbols left out."""

    real: Tensor | None
    """Places of the real tokens among all N · T; None where there is no padding. # (K,)"""

    def repeated(self, copies: int, *, group: int = 1) -> Self:
        """Each group of so many sentences several times, one after the other. The host is not asked."""
        if copies == 1:
            return self
        groups = [self.lengths[first : first + group] for first in range(0, len(self.lengths), group)]
        return type(self)(
            fed=_repeated(self.fed, copies, group),
            expected=_repeated(self.expected, copies, group),
            mask=_repeated(self.mask, copies, group),
            beginning=_repeated(self.beginning, copies, group),
            lengths=tuple(length for lengths in groups for _ in range(copies) for length in lengths),
            real=None if self.real is None else self._places_repeated(self.real, copies, group),
        )

    def _places_repeated(self, places: Tensor, copies: int, group: int) -> Tensor:
        """Some places (K,) among the N · T, in all copies. # (K · copies,)"""
        size = group * self.mask.shape[1]
        first = places.div(size, rounding_mode="floor") * (copies * size) + places % size
        shifts = torch.arange(copies, device=places.device) * size
        return (first.unsqueeze(-1) + shifts).flatten().sort().values


def _repeated(values: Tensor, copies: int, group: int) -> Tensor:
    """Each group of rows several times, one after the other. # (N, …) to (N · copies, …)"""
    groups = values.reshape(-1, group, *values.shape[1:])
    return groups.repeat_interleave(copies, dim=0).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """One copy of each model of a bundle, frozen and in evaluation mode from the moment this is made."""

    bundle: Bundle
    encoder: SonarTextTransformerEncoderModel
    decoder: ConditionalTransformerDecoderModel
    generator: SonarLLM
    encoder_tokenizer: Tokenizer
    decoder_tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    """Precision of the weights."""

    digest: str
    """SHA-256, in hexadecimal, of the weights' names, shapes and float32 values."""

    is_compiled: bool = False
    """Whether passes that are differentiated are compiled (engine.fast.inductor)."""

    def __post_init__(self) -> None:
        for model in (self.encoder, self.decoder, self.generator):
            model.eval().requires_grad_(False)

    def use_threads(self) -> None:
        """On the CPU, compute with as many threads as models of this size gain from.

        In small models threads wait for one another, and where other programs are busy too, most of the time.
        """
        if self.device.type == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)

    @cached_property
    def _threads(self) -> int:
        models = (self.encoder, self.decoder, self.generator)
        parameters = sum(weight.numel() for model in models for weight in model.parameters())
        return max(1, min(_MOST_THREADS, parameters // PARAMETERS_A_THREAD))

    @property
    def encoder_device(self) -> torch.device:
        """Where the encoder is: with the other models, or on the CPU; its embeddings go to the others."""
        return next(self.encoder.parameters()).device

    @property
    def dim(self) -> int:
        """D, the dimension of an embedding."""
        return self.generator.embedding_dim

    @cached_property
    def embedding_norm(self) -> float:
        """Mean L2 norm of the embeddings of simple sentences."""
        return float(self.encode(SIMPLE_SENTENCES).norm(dim=-1).mean())

    @cached_property
    def prior(self) -> tuple[Tensor, Tensor] | None:
        """Mean and variance of each coordinate over embeddings of sentences. # (D,), (D,)

        None where the bundle has none.

        Raises:
            UserError: the file that holds them is damaged, or of another dimension.
        """
        if self.bundle.prior is None:
            return None
        prior = load_prior(self.bundle.prior)
        if len(prior.mean) != self.dim:
            raise UserError(f"prior: {self.bundle.prior}: of {len(prior.mean)} dimensions; z has {self.dim}")
        return prior.mean.to(self.device), prior.variance.to(self.device)

    def encode(
        self, texts: Sequence[str], *, field: str = "text", languages: Sequence[str | None] | None = None
    ) -> Tensor:
        """Embed texts, one by one: an embedding never depends on the texts beside it.

        Args:
            texts: N sentences.
            field: what an error calls them.
            languages: that they are in, as the tokenizer names them; None: the bundle's own.

        Returns:
            (N, D), float32.

        Raises:
            UserError: a text is longer than the encoder can take, or the tokenizer does not have
                the language.
        """
        embeddings = []
        for text, language in zip(texts, self._languages(languages, len(texts)), strict=True):
            tokenize = self._tokenizer_of(self.encoder_tokenizer, language, "source")
            self._check_length(field, len(tokenize(text)), SOURCE_CONTROL_TOKENS)
            embeddings.append(self._remembered_embedding(text, language))
        # A clone: inference tensors may not be in autograd.
        return torch.cat(embeddings).to(self.device).clone()

    @cached_property
    def _remembered_embedding(self) -> Callable[[str, str], Tensor]:
        """Maps a text and its language to its embedding: runs that are put together encode theirs anew."""
        encoder = self._text_to_embedding  # with the bundle itself in its own cache it would not be let go of

        def embedding(text: str, language: str) -> Tensor:
            # On the CPU, where whatever stream it is used on finds it finished.
            with ALONE:
                return encoder.predict([text], source_lang=language).float().cpu()  # (1, D)

        return lru_cache(maxsize=REMEMBERED_TEXTS)(embedding)

    def encode_together(self, texts: Sequence[str], *, language: str | None = None) -> Tensor:
        """Embed many texts, those of like length together: the last digits depend on the texts beside each.

        Args:
            texts: N sentences, none longer than the encoder can take (`check_text`).
            language: that they are in, as the tokenizer names it; None: the bundle's own.

        Returns:
            (N, D), float32.
        """
        (language,) = self._languages([language], 1)
        with ALONE:
            embeddings = self._text_to_embedding.predict(
                texts, source_lang=language, batch_size=TEXTS_TOGETHER
            )
        return embeddings.float().to(self.device).clone()  # a clone, as above

    def tokens_of_target(self, text: str, language: str | None) -> int:
        """Number of tokens of a target sentence, control symbols left out.

        Raises:
            UserError: the tokenizer does not have the language.
        """
        (language,) = self._languages([language], 1)
        key = text, language
        if key not in self._tokens_of_targets:
            tokenize = self._tokenizer_of(self.decoder_tokenizer, language, "target")
            self._tokens_of_targets[key] = len(tokenize(text)) - TARGET_CONTROL_TOKENS
        return self._tokens_of_targets[key]

    @cached_property
    def _tokens_of_targets(self) -> dict[tuple[str, str], int]:
        """By text and language: of runs that are put together it is asked again and again."""
        return {}

    def targets(self, texts: Sequence[str], *, languages: Sequence[str | None] | None = None) -> Targets:
        """Tokenize N target sentences for teacher forcing.

        Args:
            texts: N sentences.
            languages: to decode into, as the tokenizer names them; None: the bundle's own.

        Raises:
            UserError: a text is longer than the decoder can take, or the tokenizer does not have
                the language.
        """
        sequences = [
            self._tokenizer_of(self.decoder_tokenizer, language, "target")(text).to(self.device)
            for text, language in zip(texts, self._languages(languages, len(texts)), strict=True)
        ]
        for sequence in sequences:
            self._check_length("target", len(sequence), TARGET_CONTROL_TOKENS)
        return self.targets_of(sequences)

    def targets_of(self, sequences: Sequence[Tensor]) -> Targets:
        """The same of N tokenized sentences, `</s> __lang__ … </s>`. # (tokens,) each"""
        pad = self.decoder_tokenizer.vocab_info.pad_idx or 0
        padded = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=pad)
        lengths = torch.tensor([len(sequence) for sequence in sequences], device=self.device)  # (N,)
        positions = torch.arange(1, padded.shape[1], device=self.device)  # (T,)
        mask = positions < lengths.unsqueeze(-1)
        is_padded = len({len(sequence) for sequence in sequences}) > 1
        with ALONE:
            beginning = self._fast_decoder.beginning(padded[:, :-1])
        return Targets(
            fed=padded[:, :-1],
            expected=padded[:, 1:],
            mask=mask,
            beginning=beginning,
            lengths=tuple(len(sequence) - TARGET_CONTROL_TOKENS for sequence in sequences),
            real=mask.flatten().nonzero().squeeze(-1) if is_padded else None,
        )

    def check_text(self, text: str, *, language: str | None = None) -> None:
        """Check that encoder and decoder take a text.

        Raises:
            UserError: it is too long for one of them, or a tokenizer does not have the language.
        """
        language = language or self.bundle.language
        for tokenizer, mode, control_tokens in (
            (self.encoder_tokenizer, "source", SOURCE_CONTROL_TOKENS),
            (self.decoder_tokenizer, "target", TARGET_CONTROL_TOKENS),
        ):
            tokens = len(self._tokenizer_of(tokenizer, language, mode)(text))
            self._check_length("text", tokens, control_tokens)

    def predict(self, embeddings: Tensor) -> Tensor:
        """Predict the embedding of the sentence after each of N sentences, each a text of its own.

        Args:
            embeddings: (N, D), in any floating-point precision.

        Returns:
            (N, D), in the precision of the argument.
        """
        return self.predict_each(embeddings.unsqueeze(1)).squeeze(1)

    def predict_each(self, sentences: Tensor) -> Tensor:
        """Predict, at each place of N texts, the embedding of the sentence after it.

        Args:
            sentences: (N, S, D), the embeddings of S sentences of each text, in any floating-point precision.

        Returns:
            (N, S, D), in the precision of the argument.
        """
        with ALONE:
            return self._predicted(sentences.to(self.dtype)).to(sentences.dtype)

    def logits(self, embeddings: Tensor, targets: Targets) -> Tensor:
        """Logits of the decoder under teacher forcing, each target given its embedding.

        Args:
            embeddings: (N, D), in any floating-point precision.
            targets: N sentences.

        Returns:
            (N, T, V), in the precision of the embeddings.
        """
        with ALONE:
            hidden = self._fast_decoder(embeddings.to(self.dtype), targets.beginning)
            return self._fast_decoder.logits(hidden).to(embeddings.dtype)

    def token_losses(self, embeddings: Tensor, targets: Targets) -> Tensor:
        """Cross-entropy of each token of the targets, each given its embedding: −log softmax(logits)[token].

        Args:
            embeddings: (N, D), in any floating-point precision.
            targets: N sentences.

        Returns:
            (N, T), in nats, in the precision of the embeddings; 0 in padding.
        """
        tokens, real = targets.expected.flatten(), targets.real
        with ALONE:
            hidden = self._hidden(embeddings.to(self.dtype), targets.beginning).flatten(0, 1)  # (N · T, D)
            if real is not None:
                hidden, tokens = hidden.index_select(0, real), tokens.index_select(0, real)
            decoder = self._fast_decoder
            losses = projected_cross_entropy(
                hidden, decoder.output_weight, tokens, vocabulary=decoder.vocabulary
            )  # (K,)
        if real is not None:
            losses = losses.new_zeros(targets.mask.numel()).index_copy(0, real, losses)
        return losses.view_as(targets.mask).to(embeddings.dtype)

    @cached_property
    def _predicted(self) -> Callable[..., Tensor]:
        return self._compiled_if_asked(self._fast_generator.__call__)

    @cached_property
    def _hidden(self) -> Callable[..., Tensor]:
        return self._compiled_if_asked(self._fast_decoder.__call__)

    def _compiled_if_asked(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return Compiled(function) if self.is_compiled else function

    @cached_property
    def _fast_generator(self) -> FastGenerator:
        return FastGenerator(self.generator)

    @cached_property
    def _fast_decoder(self) -> FastDecoder:
        return FastDecoder.of(self.decoder)

    @cached_property
    def embedding_to_text(self) -> EmbeddingToTextModelPipeline:
        """sonar-space's pipeline on this decoder."""
        return EmbeddingToTextModelPipeline(
            self.decoder, self.decoder_tokenizer, device=self.device, dtype=self.dtype
        )

    @cached_property
    def _text_to_embedding(self) -> TextToEmbeddingModelPipeline:
        return TextToEmbeddingModelPipeline(
            self.encoder, self.encoder_tokenizer, device=self.encoder_device, dtype=self.dtype
        )

    def _languages(self, given: Sequence[str | None] | None, count: int) -> list[str]:
        return [language or self.bundle.language for language in given or [None] * count]

    def _tokenizer_of(self, tokenizer: Tokenizer, language: str, mode: str) -> TokenEncoder:
        try:
            return tokenizer.create_encoder(lang=language, mode=mode)
        except NotSupportedError as error:
            raise UserError(
                f"language: {language!r}: the tokenizer of bundle {self.bundle.name} does not have it"
            ) from error

    def _check_length(self, field: str, tokens: int, control_tokens: int) -> None:
        if tokens > self.bundle.max_tokens:
            raise UserError(
                f"{field}: {tokens - control_tokens} tokens; bundle {self.bundle.name} takes at most "
                f"{self.bundle.max_tokens - control_tokens}"
            )
