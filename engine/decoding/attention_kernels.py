"""Attention of one position to those before it as a Triton kernel: a program has a hypothesis' head."""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

import torch
import triton
import triton.language as tl
from torch import Tensor

PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
MOST_COORDINATES = 128
BLOCK = 32
"""Positions that are looked at at a time."""

_WARPS = 1


def are_for(kept: Tensor) -> bool:
    """Whether the kernel takes such keys and values (2, R, A, L, B, E)."""
    head_dim = kept.shape[-1]
    is_power_of_two = head_dim & (head_dim - 1) == 0
    return kept.dtype in PRECISIONS and is_power_of_two and head_dim <= MOST_COORDINATES


def attend(joint: Tensor, kept: Tensor, slots: Tensor, position: Tensor) -> Tensor:
    """As engine.decoding.attention.by_torch, of contiguous tensors: how far to look is read on the card."""
    rows, hypotheses, width = joint.shape
    _, _, heads, positions, beam, head_dim = kept.shape
    attended = joint.new_empty(rows, hypotheses, width // 3)
    with torch.cuda.device_of(joint):  # type: ignore[no-untyped-call]
        attend_to_past[(rows * hypotheses, heads)](
            joint.contiguous(),
            kept,
            slots,
            position,
            attended,
            positions,
            kept.stride(0),
            hypotheses=hypotheses,
            beam=beam,
            heads=heads,
            head_dim=head_dim,
            block=BLOCK,
            num_warps=_WARPS,
        )
    return attended


@triton.jit
def attend_to_past(
    joint,
    kept,
    slots,
    position,
    attended,
    positions,
    size_of_keys,
    hypotheses: tl.constexpr,
    beam: tl.constexpr,
    heads: tl.constexpr,
    head_dim: tl.constexpr,
    block: tl.constexpr,
):
    """Keep key and value of this position, and attend to them and to what the ancestors kept. # (R, H, D)"""
    text, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row, hypothesis = text // hypotheses, text % hypotheses
    coordinates = tl.arange(0, head_dim)
    dim: tl.constexpr = heads * head_dim
    of_head = head * head_dim + coordinates
    query = tl.load(joint + text * 3 * dim + of_head).to(tl.float32) / tl.sqrt(float(head_dim))
    key = tl.load(joint + text * 3 * dim + dim + of_head)
    value = tl.load(joint + text * 3 * dim + 2 * dim + of_head)
    now = tl.load(position).to(tl.int32)
    keys = kept + (row * heads + head) * positions * beam * head_dim
    values = keys + size_of_keys
    own = (now * beam + hypothesis) * head_dim + coordinates
    tl.store(keys + own, key)
    tl.store(values + own, value)
    # Of what was seen so far: the highest score h, Σ exp(score − h), and the values' sum with those weights.
    highest = tl.sum(query * key.to(tl.float32), axis=0)
    total = tl.exp(highest - highest)
    mean = value.to(tl.float32)
    first = now * 0
    while first < now:
        places = first + tl.arange(0, block)
        is_past = places < now
        slot = tl.load(slots + (row * beam + hypothesis) * positions + places, mask=is_past, other=0)
        where = (places * beam + slot)[:, None] * head_dim + coordinates[None, :]
        past_keys = tl.load(keys + where, mask=is_past[:, None], other=0.0).to(tl.float32)
        past_values = tl.load(values + where, mask=is_past[:, None], other=0.0).to(tl.float32)
        scores = tl.where(is_past, tl.sum(past_keys * query[None, :], axis=1), -float("inf"))
        higher = tl.maximum(highest, tl.max(scores, axis=0))
        shares = tl.exp(scores - higher)
        shrunk = tl.exp(highest - higher)
        total = total * shrunk + tl.sum(shares, axis=0)
        mean = mean * shrunk + tl.sum(shares[:, None] * past_values, axis=0)
        highest = higher
        first += block
    tl.store(attended + text * dim + of_head, (mean / total).to(attended.dtype.element_ty))
