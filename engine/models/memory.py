"""How much memory of a card a bundle takes, told before anything is loaded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from engine.errors import CardTooSmallError
from engine.spec import DECODED_LENGTH_FACTOR

if TYPE_CHECKING:
    from engine.models.loaded import LoadedBundle

TARGET_TOKENS = 64
BEAM = 5
"""The estimate for a bundle is that of one run with a target of so many tokens, decoded as runs are by
default."""

_LIBRARIES = 2**29
"""Workspaces of the CUDA libraries, and what the allocator holds and does not use."""

_GIB = 2**30

FreeAndTotal = Callable[[torch.device], tuple[int, int]]
"""Bytes of a card that are free, and that there are: torch.cuda.mem_get_info."""


@dataclass(frozen=True)
class Sizes:
    """What the memory that a bundle takes depends on."""

    parameters: Mapping[str, int]
    """Of each part: encoder, decoder, generator."""

    layers: int
    """Of the decoder, as is what follows."""

    dimension: int
    inner_dimension: int
    vocabulary: int

    @classmethod
    def of(cls, models: Mapping[str, nn.Module]) -> "Sizes":
        """Of models on any device, the meta device too."""
        decoder: Any = models["decoder"]
        layers, embedding = decoder.decoder.layers, decoder.final_proj.weight
        return cls(
            {
                part: sum(parameter.numel() for parameter in model.parameters())
                for part, model in models.items()
            },
            layers=len(layers),
            dimension=embedding.shape[1],
            inner_dimension=layers[0].ffn.inner_proj.weight.shape[0],
            vocabulary=embedding.shape[0],
        )


@dataclass(frozen=True)
class Need:
    """Bytes on the card."""

    weights: Mapping[str, int]
    """Of each part that is there."""

    working: int
    """What a run needs besides: activations, keys and values of decoding, logits, libraries."""

    @property
    def total(self) -> int:
        """Everything."""
        return sum(self.weights.values()) + self.working


def need(sizes: Sizes, dtype: torch.dtype, *, encoder_on_card: bool) -> Need:
    """Estimate what a bundle takes while one run goes on."""
    width = dtype.itemsize
    on_card = {
        part: parameters * width
        for part, parameters in sizes.parameters.items()
        if part != "encoder" or encoder_on_card
    }
    return Need(on_card, run_bytes(sizes, dtype, TARGET_TOKENS) + _LIBRARIES)


def run_bytes(sizes: Sizes, dtype: torch.dtype, tokens: int) -> int:
    """Estimate what a run takes besides the weights, alone or beside others.

    Args:
        sizes: of the bundle.
        dtype: of the weights.
        tokens: of the run's target sentences.
    """
    width = dtype.itemsize
    # Kept of each layer for the backward pass: about ten tensors (T, D) and two (T, F).
    kept = sizes.layers * tokens * (10 * sizes.dimension + 2 * sizes.inner_dimension) * width
    # The logits, once in the models' precision and twice in float32: the loss's, and their gradient.
    logits = tokens * sizes.vocabulary * (width + 2 * 4)
    # Keys and values of z and prediction, with a beam each.
    decoded = DECODED_LENGTH_FACTOR * tokens
    cache = 2 * BEAM * decoded * sizes.layers * 2 * sizes.dimension * width
    return kept + logits + cache


def runs_at_once(
    bundle: "LoadedBundle", tokens: int, *, free: Callable[[torch.device], int] | None = None
) -> int:
    """How many runs a card has memory for, those that are going on among them.

    Args:
        bundle: loaded, on a card.
        tokens: of the target sentences of each run.
        free: asked of the card: its bytes that nothing of lasting use is in.
    """
    room = (free or _free)(bundle.device) - _LIBRARIES
    return max(1, room // run_bytes(Sizes.of({"decoder": bundle.decoder}), bundle.dtype, max(tokens, 1)))


def _free(device: torch.device) -> int:
    """With what the allocator keeps in hand: between steps that is what runs take while they step."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def check_memory(
    name: str,
    sizes: Sizes,
    device: torch.device,
    dtype: torch.dtype,
    *,
    encoder_on_card: bool,
    already: int = 0,
    free_and_total: FreeAndTotal = torch.cuda.mem_get_info,
) -> None:
    """Refuse a bundle that a card has no room for.

    Args:
        name: Of the bundle.
        sizes: Its sizes.
        device: Where it is to go; only cards are asked.
        dtype: Of the weights.
        encoder_on_card: The encoder goes there too.
        already: Bytes of it that are on the card.
        free_and_total: Asked of the card.

    Raises:
        CardTooSmallError: with the estimate, and what would fit.
    """
    if device.type != "cuda":
        return
    free, total = free_and_total(device)
    asked = need(sizes, dtype, encoder_on_card=encoder_on_card)
    if asked.total - already <= free:
        return
    parts = ", ".join(f"{part} {size / _GIB:.1f}" for part, size in asked.weights.items())
    advice = [
        f"{text} (about {other.total / _GIB:.1f} GiB)"
        for text, other in _smaller(sizes, dtype, encoder_on_card)
        if other.total - already <= free
    ]
    held = "" if total - free < _GIB else f"; other programs and models hold {(total - free) / _GIB:.1f}"
    raise CardTooSmallError(
        f"memory: {name} in {str(dtype).removeprefix('torch.')} takes about {asked.total / _GIB:.1f} GiB "
        f"({parts}, a run {asked.working / _GIB:.1f}); {device} has {free / _GIB:.1f} of "
        f"{total / _GIB:.1f} GiB free{held}: try {', or '.join([*advice, '--device cpu'])}"
    )


def _smaller(sizes: Sizes, dtype: torch.dtype, encoder_on_card: bool) -> Iterator[tuple[str, Need]]:
    """What else can be asked for that takes less, the smallest change first."""
    if encoder_on_card:
        yield "--encoder cpu", need(sizes, dtype, encoder_on_card=False)
    if dtype != torch.bfloat16:
        yield "--dtype bfloat16", need(sizes, torch.bfloat16, encoder_on_card=encoder_on_card)
        if encoder_on_card:
            yield "--dtype bfloat16 --encoder cpu", need(sizes, torch.bfloat16, encoder_on_card=False)
