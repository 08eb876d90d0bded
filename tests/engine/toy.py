"""A bundle of tiny random models, made by sonar-space's factories and the generator's own class."""

import io
import tempfile
from pathlib import Path

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.nllb import NllbTokenizerConfig
from fairseq2.models.nllb.tokenizer import load_nllb_tokenizer
from sentencepiece import SentencePieceTrainer
from sonar.models.sonar_text import (
    SonarTextDecoderConfig,
    SonarTextDecoderFactory,
    SonarTextEncoderConfig,
    SonarTextEncoderFactory,
)
from torch import nn

from engine.bundles import Bundle
from engine.models.generator import SonarLLM
from engine.models.loaded import LoadedBundle
from engine.spec import RunSpec

DIM = 32
HIDDEN = 48
MAX_TOKENS = 64

# Tensors of this size gain nothing from threads, which on a busy machine wait for one another.
torch.set_num_threads(1)

TEXT = """Once upon a time, there was a little girl named Lily.
I like cheese.
Tom had a red ball.
He wanted to play with the ball in the garden.
The big brown dog ran after the cat, and the cat sat in a tree.
She said, "Thank you very much!" and went home to her mother.
What is your name? My name is Zoe, and I am five years old.
We quickly fixed the box; just now it looks perfect.""".splitlines()


def sentencepiece_model() -> bytes:
    """A SentencePiece model of about a hundred pieces, as NLLB's are numbered."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 4),
        model_writer=model,
        vocab_size=110,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def toy_tokenizer() -> Tokenizer:
    """An NLLB tokenizer for English alone."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokenizer.model"
        path.write_bytes(sentencepiece_model())
        return load_nllb_tokenizer(path, NllbTokenizerConfig(langs=["eng_Latn"], default_lang="eng_Latn"))


def toy_bundle(*, dtype: torch.dtype = torch.float32, seed: int = 0) -> LoadedBundle:
    """Make the models: the same ones every time for a seed, in the precision asked for."""
    tokenizer = toy_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = SonarTextEncoderFactory(
            SonarTextEncoderConfig(
                model_dim=DIM,
                max_seq_len=MAX_TOKENS,
                vocab_info=tokenizer.vocab_info,
                num_encoder_layers=2,
                num_decoder_layers=2,
                num_encoder_attn_heads=4,
                num_decoder_attn_heads=4,
                ffn_inner_dim=64,
                pooling="mean",
                _from_fairseq=True,
            )
        ).create_model()
        decoder = SonarTextDecoderFactory(
            SonarTextDecoderConfig(
                model_dim=DIM,
                max_seq_len=MAX_TOKENS,
                vocab_info=tokenizer.vocab_info,
                activation_fn="ReLU",
                no_scale_embedding=True,
                no_token_positional_embeddings=False,
                learned_pos=False,
                emb_dropout_p=0.1,
                attention_dropout_p=0.1,
                activation_dropout_p=0.1,
                normalize_before=True,
                num_encoder_layers=2,
                num_decoder_layers=2,
                num_encoder_attn_heads=4,
                num_decoder_attn_heads=4,
                ffn_inner_dim=64,
            )
        ).create_model()
        generator = SonarLLM(
            {
                "hidden_size": HIDDEN,
                "intermediate_size": 96,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "max_position_embeddings": 32,
            },
            DIM,
        )
        llama = generator.llama
        for layer in llama.layers:
            layer.input_layernorm = _RMSNorm(HIDDEN, 1e-6)
            layer.post_attention_layernorm = _RMSNorm(HIDDEN, 1e-6)
        llama.norm = _RMSNorm(HIDDEN, 1e-6)
        for model in (encoder, decoder, generator):
            _roughen(model)
    for model in (encoder, decoder, generator):
        model.to(dtype)
    return LoadedBundle(
        bundle=Bundle(
            name="toy",
            summary="tiny random models",
            encoder="none",
            decoder="none",
            generator="none",
            max_tokens=MAX_TOKENS,
            licence="none",
        ),
        encoder=encoder,
        decoder=decoder,
        generator=generator,
        encoder_tokenizer=tokenizer,
        decoder_tokenizer=tokenizer,
        device=torch.device("cpu"),
        dtype=dtype,
        digest="toy",
    )


def _roughen(model: nn.Module) -> None:
    """Add noise to every parameter: biases and scales are then not the zeros and ones they start as, and the
    decoder says many different things.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)


class _RMSNorm(nn.Module):
    """RMSNorm (Zhang & Sennrich 2019), in float64 too, where transformers' own goes by way of float32."""

    def __init__(self, dim: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.epsilon = epsilon

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        variance = hidden.pow(2).mean(-1, keepdim=True)
        return self.weight * hidden * torch.rsqrt(variance + self.epsilon)


def toy_spec(**fields: object) -> RunSpec:
    """A short run that decodes only its last row, greedily and briefly, unless `fields` say otherwise."""
    quick = {"bundle": "toy", "steps": 3, "decode_every": 1000, "beam": 1, "max_decoded_tokens": 4}
    return RunSpec.model_validate(quick | fields)
