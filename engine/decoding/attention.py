"""Attention of one position of texts to the positions before it, whose keys and values were kept."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from engine.fast.compiled import check_alike, compiled, drawn

UNSEEN = -1
"""Slot of the positions that are still to come."""


@dataclass(frozen=True)
class Kernels:
    """One pass over what a hypothesis' own ancestors kept."""

    attend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    """Of the joint projection (R, H, 3 · D), keys and values (2, R, A, L, B, E), slots (R, B, L) and the
    position (1,), as `by_torch`. # (R, H, D)"""

    are_for: Callable[[Tensor], bool]
    """Whether they take such keys and values."""


def mask_of(slots: Tensor, *, hypotheses: int, extent: int | None, dtype: torch.dtype) -> Tensor | None:
    """What each hypothesis may look at, to be added to attention's scores.

    Args:
        slots: the one that a hypothesis' ancestor wrote into, at each position. # (R, B, L)
        hypotheses: H, the first ones of each row.
        extent: X, number of positions up to this one; None: all L.
        dtype: of the scores.

    Returns:
        0 where an ancestor wrote, else −∞, (R, 1, H, X · B); None where nothing is hidden.
    """
    beam = slots.shape[1]
    if extent is not None and beam == 1:
        return None
    seen = slots[:, :hypotheses, :extent, None] == torch.arange(beam, device=slots.device)  # (R, H, X, B)
    hidden = torch.full((), -torch.inf, dtype=dtype, device=slots.device)
    return torch.where(seen, torch.zeros_like(hidden), hidden).flatten(2).unsqueeze(1)


def by_torch(
    joint: Tensor, kept: Tensor, position: Tensor, mask: Tensor | None, *, extent: int | None
) -> Tensor:
    """Keep the keys and values of a position, and attend to them and to those before.

    Args:
        joint: queries, keys and values of the first H hypotheses, each of all heads. # (R, H, 3 · D)
        kept: keys, then values: each hypothesis' own slot is written. # (2, R, A, L, B, E)
        position: counted from 0. # (1,)
        mask: of `mask_of`.
        extent: X, number of positions up to this one; None: look at all L.

    Returns:
        (R, H, D)
    """
    rows, hypotheses, _ = joint.shape
    by_head = joint.view(rows, hypotheses, 3, kept.shape[2], -1).permute(2, 0, 3, 1, 4)  # (3, R, A, H, E)
    kept[..., :hypotheses, :].index_copy_(3, position, by_head[1:].unsqueeze(3))
    keys, values = kept[:, :, :, :extent].flatten(3, 4).unbind()  # (R, A, X · B, E)
    attended = scaled_dot_product_attention(by_head[0], keys, values, attn_mask=mask)
    return attended.transpose(1, 2).flatten(2)


@cache
def kernels_on(device: torch.device) -> Kernels | None:
    """Kernels for one position; None where there are none."""

    def load() -> Kernels:
        from engine.decoding.attention_kernels import are_for, attend

        return Kernels(attend, are_for)

    return compiled("attention while decoding", device, load, lambda kernels: check(kernels, device))


def check(kernels: Kernels, device: torch.device) -> None:
    """Compare with torch's own: hypotheses with ancestors of all sorts, at a position of several blocks.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    rows, heads, positions, beam, head_dim, now = 2, 3, 80, 5, 64, 70
    position = torch.tensor([now], device=device)
    slots = torch.randint(beam, (rows, beam, positions), generator=torch.Generator().manual_seed(0))
    slots[:, :, now] = torch.arange(beam)
    slots[:, :, now + 1 :] = UNSEEN
    slots = slots.to(device)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 3e-2)):
        kept = drawn(2, rows, heads, positions, beam, head_dim, device=device).to(dtype)
        joint = drawn(rows, beam, 3 * heads * head_dim, device=device).to(dtype)
        mask = mask_of(slots, hypotheses=beam, extent=None, dtype=dtype)
        expected_kept = kept.clone()
        expected = by_torch(joint, expected_kept, position, mask, extent=None)
        check_alike(kernels.attend(joint, kept, slots, position), expected, tolerance)
        check_alike(kept, expected_kept, 0.0)
