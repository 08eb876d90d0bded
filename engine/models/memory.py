"""How much memory of a card a bundle takes, told before anything is loaded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from engine.errors import CardTooSmallError
from engine.models.sizes import Sizes
from engine.spec import RunSpec
from engine.working_memory import LIBRARIES, Asked, working_bytes

TARGET_TOKENS = 32
"""The estimate for a bundle is that of one run with a target of so many tokens, decoded as runs are by
default."""

_GIB = 2**30

FreeAndTotal = Callable[[torch.device], tuple[int, int]]
"""Bytes of a card that are free, and that there are: torch.cuda.mem_get_info."""


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
    on_card = {
        part: parameters * dtype.itemsize
        for part, parameters in sizes.parameters
        if part != "encoder" or encoder_on_card
    }
    asked = Asked.of(RunSpec(), TARGET_TOKENS)
    return Need(on_card, working_bytes(sizes, dtype, asked, 1) + LIBRARIES)


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
