"""SONAR-LLM's forward pass, with the weights of its modules where they lie."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.fast.gated import gated
from engine.fast.joined import joined, joined_biases
from engine.fast.products import linear
from engine.fast.residual import Norm, add_and_norm
from engine.models.generator import SonarLLM


@dataclass(frozen=True)
class _Layer:
    """One layer: a function of its input, and the weights that it reads."""

    attention_norm: Norm
    query_key_value: Tensor
    query_key_value_bias: Tensor | None
    attention_output: Tensor
    attention_output_bias: Tensor | None
    mlp_norm: Norm
    gate_up: Tensor
    gate_up_bias: Tensor | None
    mlp_output: Tensor
    mlp_output_bias: Tensor | None


class FastGenerator:
    """What `SonarLLM` computes. Of texts of one sentence, attention is a projection: its softmax is 1."""

    def __init__(self, model: SonarLLM) -> None:
        """Take the weights of a model that is loaded, and will not be moved or changed any more."""
        llama: Any = model.llama
        config = llama.config
        self._model = model
        self._rotary = llama.rotary_emb
        self._head_dim = llama.layers[0].self_attn.head_dim
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._activation = llama.layers[0].mlp.act_fn
        self._norm = Norm(llama.norm.weight.data, None, config.rms_norm_eps)
        self._layers = [_weights(layer, config.rms_norm_eps) for layer in llama.layers]

    def __call__(self, sentences: Tensor) -> Tensor:
        """Predict, at each place, the embedding of the sentence after it. # (N, S, D) to (N, S, D)"""
        hidden = self._model.forward_proj(sentences)  # (N, S, H)
        is_one = sentences.shape[1] == 1
        rotation = None if is_one else self._rotation(hidden)
        added = None
        for layer in self._layers:
            hidden, normed = add_and_norm(hidden, added, None, layer.attention_norm)
            attended = (
                self._only_value(layer, normed) if rotation is None else self._attend(layer, normed, rotation)
            )
            added = linear(attended, layer.attention_output, layer.attention_output_bias)
            hidden, normed = add_and_norm(hidden, added, None, layer.mlp_norm)
            inner = gated(linear(normed, layer.gate_up, layer.gate_up_bias), self._activation)
            added = linear(inner, layer.mlp_output, layer.mlp_output_bias)
        prediction: Tensor = self._model.reverse_proj(add_and_norm(hidden, added, None, self._norm)[1])
        return prediction

    def _only_value(self, layer: _Layer, normed: Tensor) -> Tensor:
        """Attention to a single place: its value, for every head. # (N, 1, heads · head_dim)"""
        first = (self._heads + self._key_heads) * self._head_dim
        bias = None if layer.query_key_value_bias is None else layer.query_key_value_bias[first:]
        value = linear(normed, layer.query_key_value[first:], bias)
        if self._heads == self._key_heads:
            return value
        by_head = value.view(*value.shape[:-1], self._key_heads, self._head_dim)
        return by_head.repeat_interleave(self._heads // self._key_heads, dim=-2).flatten(-2)

    def _attend(self, layer: _Layer, normed: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """Causal attention with rotary positions. # (N, S, heads · head_dim)"""
        heads, key_heads = self._heads, self._key_heads
        joint = linear(normed, layer.query_key_value, layer.query_key_value_bias)
        by_head = joint.view(*joint.shape[:2], -1, self._head_dim).transpose(
            1, 2
        )  # (N, all heads, S, head_dim)
        rotated = _rotate(by_head[:, : heads + key_heads], *rotation)
        attended = F.scaled_dot_product_attention(
            rotated[:, :heads],
            rotated[:, heads:],
            by_head[:, heads + key_heads :],
            is_causal=True,
            enable_gqa=heads != key_heads,
        )
        return attended.transpose(1, 2).flatten(2)

    def _rotation(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the positions, as precise as the hidden states. # (1, S, head_dim) each"""
        positions = torch.arange(hidden.shape[1], device=hidden.device).unsqueeze(0)
        cosines, sines = self._rotary(hidden, positions)
        return cosines, sines


def _weights(layer: Any, epsilon: float) -> _Layer:  # of a LlamaDecoderLayer, or modules in its places
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    return _Layer(
        attention_norm=Norm(layer.input_layernorm.weight.data, None, epsilon),
        query_key_value=joined([projection.weight for projection in projections]),
        query_key_value_bias=joined_biases([projection.bias for projection in projections]),
        attention_output=attention.o_proj.weight.data,
        attention_output_bias=_frozen(attention.o_proj.bias),
        mlp_norm=Norm(layer.post_attention_layernorm.weight.data, None, epsilon),
        gate_up=joined([mlp.gate_proj.weight, mlp.up_proj.weight]),
        gate_up_bias=joined_biases([mlp.gate_proj.bias, mlp.up_proj.bias]),
        mlp_output=mlp.down_proj.weight.data,
        mlp_output_bias=_frozen(mlp.down_proj.bias),
    )


def _frozen(bias: nn.Parameter | None) -> Tensor | None:
    return None if bias is None else bias.data


def _rotate(vectors: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), the halves of a head's coordinates being the pairs' two sides.

    Args:
        vectors: (N, heads, S, head_dim)
        cosines: (1, S, head_dim)
        sines: (1, S, head_dim)
    """
    left, right = vectors.chunk(2, dim=-1)
    turned = torch.cat((-right, left), dim=-1)
    return vectors * cosines.unsqueeze(1) + turned * sines.unsqueeze(1)
