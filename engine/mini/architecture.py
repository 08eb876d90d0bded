"""The sizes of the mini models, as configurations of sonar-space's encoder and decoder."""

from dataclasses import dataclass

from fairseq2.data.tokenizers import VocabularyInfo
from sonar.models.sonar_text import SonarTextDecoderConfig, SonarTextEncoderConfig

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3

ADDED_SYMBOLS = 5
"""What `load_nllb_tokenizer` adds to the pieces: `<pad>`, `__eng_Latn__` and three that are never used."""

DROPOUT = 0.1
"""As in SONAR's configurations; a model in evaluation mode has none."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of an encoder and a decoder that share their embedding dimension."""

    embedding_dim: int = 384
    """D: SONAR's model dimension and the dimension of a sentence embedding."""

    pieces: int = 5_995
    """SentencePiece pieces, with its three control symbols."""

    encoder_layers: int = 3
    decoder_layers: int = 3
    attention_heads: int = 6
    encoder_ffn_dim: int = 1_536
    decoder_ffn_dim: int = 1_024

    max_seq_len: int = 128
    """Positions; sinusoidal, so they cost nothing."""

    @property
    def vocabulary(self) -> int:
        return self.pieces + ADDED_SYMBOLS

    @property
    def language_id(self) -> int:
        """The id of `__eng_Latn__`: the first after `<pad>` and the pieces."""
        return self.pieces + 1


MINI = Sizes()


def _vocabulary_info(sizes: Sizes) -> VocabularyInfo:
    return VocabularyInfo(
        size=sizes.vocabulary,
        unk_idx=UNKNOWN,
        bos_idx=BEGIN,
        eos_idx=END,
        pad_idx=PAD,
        boh_idx=None,
        eoh_idx=None,
    )


def encoder_config(sizes: Sizes = MINI) -> SonarTextEncoderConfig:
    return SonarTextEncoderConfig(
        model_dim=sizes.embedding_dim,
        max_seq_len=sizes.max_seq_len,
        vocab_info=_vocabulary_info(sizes),
        num_encoder_layers=sizes.encoder_layers,
        num_decoder_layers=sizes.decoder_layers,
        num_encoder_attn_heads=sizes.attention_heads,
        num_decoder_attn_heads=sizes.attention_heads,
        ffn_inner_dim=sizes.encoder_ffn_dim,
        pooling="mean",
        emb_dropout_p=DROPOUT,
        attention_dropout_p=DROPOUT,
        activation_dropout_p=DROPOUT,
    )


def decoder_config(sizes: Sizes = MINI) -> SonarTextDecoderConfig:
    return SonarTextDecoderConfig(
        model_dim=sizes.embedding_dim,
        max_seq_len=sizes.max_seq_len,
        vocab_info=_vocabulary_info(sizes),
        activation_fn="ReLU",
        no_scale_embedding=False,
        no_token_positional_embeddings=False,
        learned_pos=False,
        emb_dropout_p=DROPOUT,
        attention_dropout_p=DROPOUT,
        activation_dropout_p=DROPOUT,
        normalize_before=True,
        num_encoder_layers=sizes.encoder_layers,
        num_decoder_layers=sizes.decoder_layers,
        num_encoder_attn_heads=sizes.attention_heads,
        num_decoder_attn_heads=sizes.attention_heads,
        ffn_inner_dim=sizes.decoder_ffn_dim,
    )
