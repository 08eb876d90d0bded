"""The loaded, frozen models of a bundle, and what an optimisation asks of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.nn import BatchLayout
from sonar.inference_pipelines.text import EmbeddingToTextModelPipeline, TextToEmbeddingModelPipeline
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from engine.bundles import Bundle
from engine.errors import UserError
from engine.models.generator import SonarLLM
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


@dataclass(frozen=True)
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

    lengths: tuple[int, ...]
    """Number of each sentence's own tokens, control symbols left out."""


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

    def __post_init__(self) -> None:
        for model in (self.encoder, self.decoder, self.generator):
            model.eval().requires_grad_(False)

    @property
    def dim(self) -> int:
        """D, the dimension of an embedding."""
        return self.generator.embedding_dim

    @cached_property
    def embedding_norm(self) -> float:
        """Mean L2 norm of the embeddings of simple sentences."""
        return float(self.encode(SIMPLE_SENTENCES).norm(dim=-1).mean())

    def encode(self, texts: Sequence[str], *, field: str = "text") -> Tensor:
        """Embed texts, one by one: an embedding never depends on the texts beside it.

        Args:
            texts: N sentences.
            field: what an error calls them.

        Returns:
            (N, D), float32.

        Raises:
            UserError: a text is longer than the encoder can take.
        """
        tokenize = self.encoder_tokenizer.create_encoder(lang=self.bundle.language, mode="source")
        for text in texts:
            self._check_length(field, len(tokenize(text)), SOURCE_CONTROL_TOKENS)
        embeddings = self._text_to_embedding.predict(texts, source_lang=self.bundle.language, batch_size=1)
        return embeddings.float().clone()  # the clone may take part in autograd; an inference tensor may not

    def targets(self, texts: Sequence[str]) -> Targets:
        """Tokenize N target sentences for teacher forcing.

        Raises:
            UserError: a text is longer than the decoder can take.
        """
        tokenize = self.decoder_tokenizer.create_encoder(lang=self.bundle.language, mode="target")
        sequences = [tokenize(text).to(self.device) for text in texts]
        for sequence in sequences:
            self._check_length("target", len(sequence), TARGET_CONTROL_TOKENS)
        pad = self.decoder_tokenizer.vocab_info.pad_idx or 0
        padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=pad)
        lengths = torch.tensor([len(sequence) for sequence in sequences], device=self.device)  # (N,)
        positions = torch.arange(1, padded.shape[1], device=self.device)  # (T,)
        return Targets(
            fed=padded[:, :-1],
            expected=padded[:, 1:],
            mask=positions < lengths.unsqueeze(-1),
            lengths=tuple(len(sequence) - TARGET_CONTROL_TOKENS for sequence in sequences),
        )

    def predict(self, embeddings: Tensor) -> Tensor:
        """Predict the embedding of the sentence after each of N sentences, each a text of its own.

        Args:
            embeddings: (N, D), in any floating-point precision.

        Returns:
            (N, D), in the precision of the argument.
        """
        context = embeddings.to(self.dtype).unsqueeze(1)  # (N, 1, D)
        prediction: Tensor = self.generator(context)
        return prediction.squeeze(1).to(embeddings.dtype)

    def logits(self, embeddings: Tensor, targets: Targets) -> Tensor:
        """Logits of the decoder under teacher forcing, each target given its embedding.

        Args:
            embeddings: (N, D), in any floating-point precision.
            targets: N sentences.

        Returns:
            (N, T, V), in the precision of the embeddings.
        """
        source = embeddings.to(self.dtype).unsqueeze(1)  # (N, 1, D)
        # The layout declares no padding: the decoder is causal, so what stands after a target's end cannot
        # reach its tokens, and attention without a mask is the faster one.
        logits: Tensor = self.decoder(
            source, BatchLayout.of(source), targets.fed, BatchLayout.of(targets.fed)
        )
        return logits.to(embeddings.dtype)

    @cached_property
    def embedding_to_text(self) -> EmbeddingToTextModelPipeline:
        """sonar-space's pipeline on this decoder."""
        return EmbeddingToTextModelPipeline(
            self.decoder, self.decoder_tokenizer, device=self.device, dtype=self.dtype
        )

    @cached_property
    def _text_to_embedding(self) -> TextToEmbeddingModelPipeline:
        return TextToEmbeddingModelPipeline(
            self.encoder, self.encoder_tokenizer, device=self.device, dtype=self.dtype
        )

    def _check_length(self, field: str, tokens: int, control_tokens: int) -> None:
        if tokens > self.bundle.max_tokens:
            raise UserError(
                f"{field}: {tokens - control_tokens} tokens; bundle {self.bundle.name} takes at most "
                f"{self.bundle.max_tokens - control_tokens}"
            )
