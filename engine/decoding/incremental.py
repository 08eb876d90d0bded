"""The decoder, one position of many texts at a time."""

from typing import Any, TypeVar

import torch
from fairseq2.models.transformer import (
    StandardMultiheadAttention,
    StandardTransformerDecoder,
    StandardTransformerDecoderLayer,
    TransformerEmbeddingFrontend,
)
from fairseq2.nn import SinusoidalPositionEncoder, TiedProjection
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor, nn

from engine.decoding.cache import Cache
from engine.fast.feed_forward import feed_forward
from engine.fast.joined import joined, joined_biases
from engine.fast.padded import padded
from engine.fast.products import linear
from engine.fast.residual import add_and_norm, norm_of

_Module = TypeVar("_Module", bound=nn.Module)


class IncrementalDecoder:
    """What a SONAR decoder computes, of its own weights, one position after the other.

    Attention to the embedding has one key, so its softmax is 1 and it adds `output_proj(v_proj(z))` at every
    position and for every token: that is computed once, and its queries, keys and norm never are.

    Nothing here waits for the device or has a shape that depends on values, so that it can be captured in a
    CUDA graph.
    """

    def __init__(self, decoder: ConditionalTransformerDecoderModel) -> None:
        """Take a decoder's modules; there is no second copy of a weight.

        Raises:
            TypeError: the decoder is not made as sonar-space's factory makes it.
        """
        self._decoder = decoder
        self._frontend = _a(TransformerEmbeddingFrontend, decoder.decoder_frontend)
        stack = _a(StandardTransformerDecoder, decoder.decoder)
        layers = [_a(StandardTransformerDecoderLayer, layer) for layer in stack.layers]
        self._attentions = [_a(StandardMultiheadAttention, layer.self_attn) for layer in layers]
        self._query_key_value = [_joined(attention) for attention in self._attentions]
        self._attention_norms = [norm_of(layer.self_attn_layer_norm) for layer in layers]
        self._feed_forward_norms = [norm_of(layer.ffn_layer_norm) for layer in layers]
        self._feed_forwards = [feed_forward(layer.ffn) for layer in layers]
        self._last_norm = norm_of(stack.layer_norm)
        self._to_embedding = [_a(StandardMultiheadAttention, layer.encoder_decoder_attn) for layer in layers]
        projection = _a(TiedProjection, decoder.final_proj)
        self._vocabulary, self._output = len(projection.weight), padded(projection.weight)
        # The first row of fairseq2's table is for padding. # (S, D), float32
        self._positions = _a(SinusoidalPositionEncoder, self._frontend.pos_encoder).freqs[1:]

    @property
    def max_positions(self) -> int:
        """S, the number of positions of a text, its prompt and `</s>` included."""
        return min(self._decoder.max_target_seq_len, len(self._positions))

    def start(self, embeddings: Tensor, *, hypotheses: int, positions: int) -> Cache:
        """Begin texts.

        Args:
            embeddings: in the weights' precision. # (R, D)
            hypotheses: B, most that are followed of each.
            positions: L, those that there is room for.
        """
        return Cache(
            self.contributions(embeddings),
            heads=self._attentions[0].num_heads,
            head_dim=self._attentions[0].head_dim,
            hypotheses=hypotheses,
            positions=positions,
        )

    def contributions(self, embeddings: Tensor) -> list[Tensor]:
        """What attention to the embedding adds, layer by layer. # (R, D) to (R, 1, D) each

        The bias of self-attention's output is added with it.
        """
        if self._decoder.post_sentemb_proj is not None:
            embeddings = self._decoder.post_sentemb_proj(embeddings)
        contributions = []
        for before, attention in zip(self._attentions, self._to_embedding, strict=True):
            added = attention.output_proj(attention.v_proj(embeddings)).unsqueeze(1)
            output: Any = before.output_proj
            contributions.append(added if output.bias is None else added + output.bias)
        return contributions

    def __call__(self, tokens: Tensor, position: Tensor, cache: Cache, *, extent: int | None) -> Tensor:
        """Logits of what comes after one more token of each hypothesis.

        Args:
            tokens: that stand at the position. # (R, H)
            position: counted from 0. # (1,)
            cache: of the positions before; this one is written into it.
            extent: number of positions up to this one; None: it is not known to the host, so all that the
                cache has are looked at, those to come hidden.

        Returns:
            (R, H, V'), in the weights' precision: −∞ from V on.
        """
        hidden: Tensor = self._frontend.embed(tokens)  # (R, H, D)
        if self._frontend.scale != 1.0:
            hidden = hidden * self._frontend.scale
        hidden = (hidden.float() + self._positions.index_select(0, position)).type_as(hidden)
        attend = cache.attention_at(position, tokens.shape[1], extent=extent)
        added = None
        for number, attention in enumerate(self._attentions):
            hidden, normed = add_and_norm(hidden, added, None, self._attention_norms[number])
            joint = linear(normed, *self._query_key_value[number])
            output: Any = attention.output_proj
            added = linear(attend(number, joint), output.weight)
            hidden, normed = add_and_norm(
                hidden, added, cache.contributions[number], self._feed_forward_norms[number]
            )
            added = self._feed_forwards[number](normed)
        _, normed = add_and_norm(hidden, added, None, self._last_norm)
        logits = linear(normed, self._output)
        logits[..., self._vocabulary :] = -torch.inf
        return logits


def _a(kind: type[_Module], module: object) -> _Module:
    if not isinstance(module, kind):
        raise TypeError(f"a SONAR decoder has a {kind.__name__}, this one a {type(module).__name__}")
    return module


def _joined(attention: StandardMultiheadAttention) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of queries, keys and values as one projection. # (3 · D, D), (3 · D,)"""
    projections: tuple[Any, ...] = (attention.q_proj, attention.k_proj, attention.v_proj)
    with torch.inference_mode(mode=False):  # weights that are inference tensors could not be in autograd
        return (
            joined([projection.weight for projection in projections]),
            joined_biases([projection.bias for projection in projections]),
        )
