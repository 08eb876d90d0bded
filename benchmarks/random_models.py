"""Models of given sizes with random weights: as fast, and as large, as trained ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import torch
from fairseq2.data.tokenizers import VocabularyInfo
from sonar.models.sonar_text import (
    SonarTextDecoderConfig,
    SonarTextDecoderFactory,
    SonarTextEncoderConfig,
    SonarTextEncoderFactory,
)
from torch import Tensor, nn

from engine.bundles import Bundle
from engine.fast.padded import padded
from engine.models.generator import SonarLLM
from engine.models.loaded import LoadedBundle, Targets

NORM = 0.207
"""About the length of SONAR's embeddings."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of encoder, decoder and generator."""

    name: str
    embedding_dim: int
    vocabulary: int
    layers: int
    attention_heads: int
    ffn_dim: int
    llama: dict[str, Any]

    @property
    def sonar(self) -> dict[str, Any]:
        """What the configurations of sonar-space's encoder and decoder have in common."""
        return {
            "model_dim": self.embedding_dim,
            "max_seq_len": 512,
            "vocab_info": VocabularyInfo(self.vocabulary, unk_idx=1, bos_idx=2, eos_idx=3, pad_idx=0),
            "activation_fn": "ReLU",
            "learned_pos": False,
            "no_scale_embedding": False,
            "no_token_positional_embeddings": False,
            "num_encoder_layers": self.layers,
            "num_decoder_layers": self.layers,
            "num_encoder_attn_heads": self.attention_heads,
            "num_decoder_attn_heads": self.attention_heads,
            "ffn_inner_dim": self.ffn_dim,
            "emb_dropout_p": 0.1,
            "attention_dropout_p": 0.1,
            "activation_dropout_p": 0.1,
        }


REAL = Sizes(
    "SONAR and SONAR-LLM 900M",
    embedding_dim=1024,
    vocabulary=256_206,
    layers=24,
    attention_heads=16,
    ffn_dim=8192,
    llama={
        "hidden_size": 1536,
        "intermediate_size": 6144,
        "num_hidden_layers": 17,
        "num_attention_heads": 32,
        "head_dim": 64,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
        "rope_theta": 500_000.0,
        "rope_scaling": {
            "factor": 32.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
    },
)

MINI = Sizes(
    "mini",
    embedding_dim=384,
    vocabulary=6_000,
    layers=3,
    attention_heads=6,
    ffn_dim=1024,
    llama={
        "hidden_size": 768,
        "intermediate_size": 1024,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "head_dim": 64,
        "max_position_embeddings": 512,
    },
)


class RandomBundle(LoadedBundle):
    """Models for which every text is its own random embedding and random tokens; they say numbers."""

    target_tokens = 17
    """That the decoder is fed, and predicts, for every target."""

    def encode(
        self, texts: Sequence[str], *, field: str = "text", languages: Sequence[str | None] | None = None
    ) -> Tensor:
        """(N, D)"""
        drawn = torch.stack([torch.randn(self.dim, generator=_generator(text)) for text in texts])
        embeddings: Tensor = drawn / drawn.norm(dim=-1, keepdim=True) * NORM
        return embeddings.to(self.device)

    def targets(self, texts: Sequence[str], *, languages: Sequence[str | None] | None = None) -> Targets:
        """Targets of `target_tokens` tokens each."""
        frontend: Any = self.decoder.decoder_frontend
        vocabulary = frontend.embed.num_embeddings
        size = (self.target_tokens + 1,)
        drawn = [torch.randint(4, vocabulary, size, generator=_generator(text)) for text in texts]
        return self.targets_of([tokens.to(self.device) for tokens in drawn])


def random_bundle(
    sizes: Sizes, *, device: torch.device, dtype: torch.dtype, with_encoder: bool = True
) -> RandomBundle:
    """Make the models where they shall be, the same ones every time.

    Args:
        sizes: of the models.
        device: where they are.
        dtype: of their weights.
        with_encoder: without it, a tiny one takes its place, which speed does not depend on.
    """
    torch.manual_seed(0)
    encoder_sizes = sizes if with_encoder else MINI
    with device:
        encoder = SonarTextEncoderFactory(
            SonarTextEncoderConfig(**encoder_sizes.sonar, pooling="mean", _from_fairseq=True)
        ).create_model()
        _convert(encoder, dtype)
        decoder = SonarTextDecoderFactory(
            SonarTextDecoderConfig(**sizes.sonar, normalize_before=True)
        ).create_model()
        _convert(decoder, dtype)
        projection: Any = decoder.final_proj
        padded(projection.weight)  # as loading does
        generator = SonarLLM(sizes.llama, sizes.embedding_dim)
        _convert(generator, dtype)
    bundle = Bundle(
        name="random",
        summary=f"random weights, sizes of {sizes.name}",
        encoder="none",
        decoder="none",
        generator="none",
        max_tokens=512,
        licence="none",
    )
    tokenizer: Any = _Numbers(sizes.sonar["vocab_info"])
    return RandomBundle(
        bundle=bundle,
        encoder=encoder,
        decoder=decoder,
        generator=generator,
        encoder_tokenizer=tokenizer,
        decoder_tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        digest="random",
    )


_LAST_SPECIAL = 3


class _Numbers:
    """A tokenizer for which a text is the numbers of its tokens."""

    def __init__(self, vocabulary: VocabularyInfo) -> None:
        self.vocab_info = vocabulary

    def create_encoder(self, **_: object) -> "_NumbersEncoder":
        return _NumbersEncoder()

    def create_decoder(self, **_: object) -> Callable[[Tensor], str]:
        return lambda tokens: " ".join(str(token) for token in tokens.tolist() if token > _LAST_SPECIAL)


class _NumbersEncoder:
    prefix_indices = torch.tensor([3, 7])
    """`</s>` and a language."""

    def __call__(self, text: str) -> Tensor:
        return torch.tensor([*self.prefix_indices.tolist(), *map(int, text.split()), 3])


def _convert(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights, not the tables of positions, and freeze them."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.data = parameter.data.to(dtype)


def _generator(text: str) -> torch.Generator:
    return torch.Generator().manual_seed(crc32(text.encode()))
