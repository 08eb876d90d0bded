"""Causal attention of short texts as Triton kernels: a program has one head of one text, all of it.

They read the joint projection, and write its gradient, as it lies: nothing is split or put together.
"""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

FEWEST_ROWS = 16
"""Of a tensor core's tile."""

MOST_VALUES = {torch.float32: 32 * 64, torch.bfloat16: 64 * 64}
"""Coordinates of a head at all positions, rounded up, that a program's registers have room for."""

CAPABILITY_OF_BFLOAT16 = (8, 0)
"""Compute capability of the first cards whose tensor cores take it."""


def are_for(joint: Tensor, heads: int) -> bool:
    """Whether the kernels take a joint projection (N, T, 3 · D)."""
    tile, head_dim = _constants(joint, heads)
    is_power_of_two = head_dim & (head_dim - 1) == 0
    has_room = head_dim >= FEWEST_ROWS and tile * head_dim <= MOST_VALUES.get(joint.dtype, 0)
    return is_power_of_two and has_room and _multiplies(joint.dtype, joint.device)


@cache
def _multiplies(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether tensor cores take such numbers: without them, bfloat16 needs too much shared memory."""
    if dtype != torch.bfloat16 or device.type != "cuda":
        return True
    return torch.cuda.get_device_capability(device) >= CAPABILITY_OF_BFLOAT16


def forward(joint: Tensor, heads: int) -> Tensor:
    """As engine.fast.attention.causal_attention, of a contiguous joint projection."""
    texts, positions, width = joint.shape
    attended = joint.new_empty(texts, positions, width // 3)
    with torch.cuda.device_of(joint):  # type: ignore[no-untyped-call]
        attend[(texts, heads)](
            joint, attended, positions, width // 3, *_constants(joint, heads), num_warps=_warps(joint)
        )
    return attended


def backward(joint: Tensor, gradient: Tensor, heads: int) -> Tensor:
    """The gradient of a joint projection (N, T, 3 · D), given that of what it attends (N, T, D)."""
    texts, positions, width = joint.shape
    of_joint = torch.empty_like(joint)
    with torch.cuda.device_of(joint):  # type: ignore[no-untyped-call]
        attend_backward[(texts, heads)](
            joint,
            gradient,
            of_joint,
            positions,
            width // 3,
            *_constants(joint, heads),
            num_warps=_warps(joint),
        )
    return of_joint


def _constants(joint: Tensor, heads: int) -> tuple[int, int]:
    """Rows of the tile of a text's scores, and coordinates of a head."""
    return max(FEWEST_ROWS, triton.next_power_of_2(joint.shape[1])), joint.shape[2] // (3 * heads)


def _warps(joint: Tensor) -> int:
    """The more, the less of a tile has each thread, and float32 takes much."""
    return 8 if joint.dtype == torch.float32 else 4


@triton.jit
def probabilities_of(query, key, rows, positions, head_dim: tl.constexpr):
    """Softmax of the scaled scores, of positions up to each one's own. # (T', T')"""
    scores = tl.dot(query, tl.trans(key), input_precision="tf32x3") / tl.sqrt(float(head_dim))
    is_seen = (rows[:, None] >= rows[None, :]) & (rows[None, :] < positions)
    scores = tl.where(is_seen, scores, -float("inf"))
    shares = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    return shares / tl.sum(shares, axis=1)[:, None]


@triton.jit
def attend(joint, attended, positions, dim, tile: tl.constexpr, head_dim: tl.constexpr):
    """What each position attends. # (N, T, 3 · D) to (N, T, D)"""
    text, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, coordinates = tl.arange(0, tile), tl.arange(0, head_dim)
    is_real = (rows < positions)[:, None]
    places = (text * positions + rows)[:, None] * (3 * dim) + head * head_dim + coordinates[None, :]
    query = tl.load(joint + places, mask=is_real, other=0.0)
    key = tl.load(joint + places + dim, mask=is_real, other=0.0)
    value = tl.load(joint + places + 2 * dim, mask=is_real, other=0.0)
    probabilities = probabilities_of(query, key, rows, positions, head_dim)
    mean = tl.dot(probabilities.to(value.dtype), value, input_precision="tf32x3")
    own_places = (text * positions + rows)[:, None] * dim + head * head_dim + coordinates[None, :]
    tl.store(attended + own_places, mean.to(value.dtype), mask=is_real)


@triton.jit
def attend_backward(joint, gradient, of_joint, positions, dim, tile: tl.constexpr, head_dim: tl.constexpr):
    """The gradient of the joint projection. # (N, T, 3 · D)"""
    text, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, coordinates = tl.arange(0, tile), tl.arange(0, head_dim)
    is_real = (rows < positions)[:, None]
    places = (text * positions + rows)[:, None] * (3 * dim) + head * head_dim + coordinates[None, :]
    own_places = (text * positions + rows)[:, None] * dim + head * head_dim + coordinates[None, :]
    query = tl.load(joint + places, mask=is_real, other=0.0)
    key = tl.load(joint + places + dim, mask=is_real, other=0.0)
    value = tl.load(joint + places + 2 * dim, mask=is_real, other=0.0)
    given = tl.load(gradient + own_places, mask=is_real, other=0.0)
    probabilities = probabilities_of(query, key, rows, positions, head_dim)
    of_value = tl.dot(tl.trans(probabilities).to(value.dtype), given, input_precision="tf32x3")
    tl.store(of_joint + places + 2 * dim, of_value.to(value.dtype), mask=is_real)
    of_probabilities = tl.dot(given, tl.trans(value), input_precision="tf32x3")
    mean = tl.sum(probabilities * of_probabilities, axis=1)[:, None]
    of_scores = probabilities * (of_probabilities - mean) / tl.sqrt(float(head_dim))
    of_scores = of_scores.to(query.dtype)
    of_query = tl.dot(of_scores, key, input_precision="tf32x3")
    tl.store(of_joint + places, of_query.to(query.dtype), mask=is_real)
    of_key = tl.dot(tl.trans(of_scores), query, input_precision="tf32x3")
    tl.store(of_joint + places + dim, of_key.to(key.dtype), mask=is_real)
