"""The sizes of a bundle's models, read off them without a weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Stack:
    """Layers of a transformer."""

    layers: int
    dimension: int
    inner_dimension: int
    """Of the feed-forward networks."""


@dataclass(frozen=True)
class Sizes:
    """What the memory that a bundle takes depends on."""

    parameters: tuple[tuple[str, int], ...]
    """Of each part, encoder, decoder, generator: its name and their number."""

    decoder: Stack
    generator: Stack

    vocabulary: int
    """Of the decoder."""

    @classmethod
    def of(cls, models: Mapping[str, nn.Module]) -> "Sizes":
        """Of models on any device, the meta device too."""
        decoder: Any = models["decoder"]
        generator: Any = models["generator"]
        layers, embedding = decoder.decoder.layers, decoder.final_proj.weight
        llama = generator.llama.config
        return cls(
            tuple(
                (part, sum(parameter.numel() for parameter in model.parameters()))
                for part, model in models.items()
            ),
            decoder=Stack(len(layers), embedding.shape[1], layers[0].ffn.inner_proj.weight.shape[0]),
            generator=Stack(llama.num_hidden_layers, llama.hidden_size, llama.intermediate_size),
            vocabulary=embedding.shape[0],
        )
