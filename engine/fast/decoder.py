"""SONAR's decoder under teacher forcing, with the weights of its modules where they lie.

A sentence is one embedding, so cross-attention has one key: its softmax is 1, whatever the query. For each
layer it is one vector, the same at every position: `output_proj(v_proj(z))`. The product of the two
projections is made once, for all layers, and queries, keys and the norm before them are never computed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import torch
from fairseq2.models.transformer import StandardTransformerDecoderLayer, TransformerNormOrder
from fairseq2.nn import BatchLayout
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor, nn

from engine.fast.attention import causal_attention
from engine.fast.feed_forward import feed_forward
from engine.fast.joined import joined, joined_biases
from engine.fast.padded import padded
from engine.fast.products import linear
from engine.fast.residual import Norm, add_and_norm, norm_of


@dataclass(frozen=True)
class _Layer:
    """The weights of one layer that a forward pass reads."""

    attention_norm: Norm
    query_key_value: Tensor
    query_key_value_bias: Tensor | None
    heads: int
    attention_output: Tensor
    feed_forward_norm: Norm
    feed_forward: Callable[[Tensor], Tensor]


class FastDecoder:
    """What SONAR's decoder computes of embeddings of one sentence each."""

    def __init__(self, model: ConditionalTransformerDecoderModel) -> None:
        """Take the weights of a model that is loaded, and will not be moved or changed any more."""
        self._model = model
        decoder: Any = model.decoder
        modules = [_checked(layer) for layer in decoder.layers]
        self._layers = [_weights(layer) for layer in modules]
        self._last_norm = norm_of(decoder.layer_norm)
        self._context, self._context_bias = _contexts(modules)  # (L · D, E), (L · D,)
        projection: Any = model.final_proj
        self.vocabulary = len(projection.weight)
        """V"""

        self.output_weight = padded(projection.weight)
        """Maps a hidden state to logits; rows of zeros follow those of the tokens. # (V', D)"""

    @classmethod
    def of(cls, model: ConditionalTransformerDecoderModel) -> "FastDecoder":
        """The one for a model: whoever shares the model shares what is made of its weights."""
        made = _made.get(model)
        if made is None:
            made = _made[model] = cls(model)
        return made

    def beginning(self, tokens: Tensor) -> Tensor:
        """What does not depend on the embedding: tokens, positions, the first layer's self-attention.

        Args:
            tokens: that the decoder is fed. # (N, T)

        Returns:
            (N, T, D)
        """
        with torch.no_grad():
            fed, _ = self._model.decoder_frontend(tokens, BatchLayout.of(tokens))
            first = self._layers[0]
            begun: Tensor = fed + self._self_attention(first, first.attention_norm(fed))
        return begun

    def __call__(self, embeddings: Tensor, beginning: Tensor) -> Tensor:
        """Hidden states before the projection to the vocabulary.

        What stands after a target's end cannot reach its tokens, for the decoder is causal: padding needs no
        mask.

        Args:
            embeddings: (N, E)
            beginning: of N targets. # (N, T, D)

        Returns:
            (N, T, D)
        """
        source = embeddings
        if self._model.normalize_emb:
            source = self._model.encode(source, BatchLayout.of(source.unsqueeze(1)))
        if self._model.post_sentemb_proj is not None:
            source = self._model.post_sentemb_proj(source)
        contexts = linear(source, self._context, self._context_bias)
        by_layer = contexts.view(len(source), len(self._layers), 1, -1).unbind(1)  # (N, 1, D) each
        hidden, added = beginning, None
        for number, (layer, context) in enumerate(zip(self._layers, by_layer, strict=True)):
            if number:
                hidden, normed = add_and_norm(hidden, added, None, layer.attention_norm)
                added = self._self_attention(layer, normed)
            hidden, normed = add_and_norm(hidden, added, context, layer.feed_forward_norm)
            added = layer.feed_forward(normed)
        return add_and_norm(hidden, added, None, self._last_norm)[1]

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every token. # (…, D) to (…, V)"""
        logits: Tensor = self._model.final_proj(hidden)
        return logits

    def _self_attention(self, layer: _Layer, normed: Tensor) -> Tensor:
        """Causal self-attention, but for the output's bias, which is among the contexts'. # (N, T, D)"""
        joint = linear(normed, layer.query_key_value, layer.query_key_value_bias)
        return linear(causal_attention(joint, layer.heads), layer.attention_output)


_made: WeakValueDictionary[ConditionalTransformerDecoderModel, FastDecoder] = WeakValueDictionary()


def _checked(layer: nn.Module) -> StandardTransformerDecoderLayer:
    if isinstance(layer, StandardTransformerDecoderLayer) and layer.norm_order != TransformerNormOrder.POST:
        return layer
    raise TypeError(f"a decoder of layers that normalise their input is needed; this is {layer}")


def _weights(layer: StandardTransformerDecoderLayer) -> _Layer:
    attention: Any = layer.self_attn
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    return _Layer(
        attention_norm=norm_of(layer.self_attn_layer_norm),
        query_key_value=joined([projection.weight for projection in projections]),
        query_key_value_bias=joined_biases([projection.bias for projection in projections]),
        heads=attention.num_heads,
        attention_output=attention.output_proj.weight.data,
        feed_forward_norm=norm_of(layer.ffn_layer_norm),
        feed_forward=feed_forward(layer.ffn),
    )


def _contexts(layers: list[StandardTransformerDecoderLayer]) -> tuple[Tensor, Tensor]:
    """Cross-attention of all layers as one projection. # (L · D, E), (L · D,)

    The bias of self-attention's output is added with it: both are added at every position, one after the
    other.
    """
    weights, biases = [], []
    for layer in layers:
        attention: Any = layer.encoder_decoder_attn
        before: Any = layer.self_attn
        value, output = attention.v_proj, attention.output_proj
        wide = torch.promote_types(output.weight.dtype, torch.float32)
        outward = output.weight.data.to(wide)  # (D, D)
        bias = outward.new_zeros(len(outward))
        if value.bias is not None:
            bias = outward @ value.bias.data.to(wide)
        for more in (output.bias, before.output_proj.bias):
            if more is not None:
                bias = bias + more.data.to(wide)
        weights.append((outward @ value.weight.data.to(wide)).to(output.weight.dtype))
        biases.append(bias.to(output.weight.dtype))
    return torch.cat(weights), torch.cat(biases)
