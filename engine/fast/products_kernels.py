"""Products of few rows with a float32 weight as Triton kernels, which read the weight once.

A product of two numbers is three of their high and low parts, each in TF32, as tensor cores take them: what
is left out is below float32's rounding (Ootomo & Yokota 2022). They are added up in float32, in an order that
the shapes alone decide.
"""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

FEWEST_ROWS = 16
"""Of a tensor core's tile."""

MOST_ROWS, MOST_ROWS_BACK = 64, 32
"""That the kernels take: with more, what torch chooses is faster, and back with a single row."""

PROGRAMS = 132
"""That share the work, for a card runs about as many; the same number on all, so that sums are the same."""

ENOUGH_STEPS = 32
"""If each program has more of them than this, twice as many share the work."""

_SUMMED = 512
"""Values that a program adds up the parts of."""


@dataclass(frozen=True)
class Tile:
    """What a program multiplies at once."""

    wide: int
    """Columns of the result."""

    step: int
    """Of what is summed over."""

    warps: int
    stages: int
    """Steps that are loaded at once."""


FORTH = Tile(wide=128, step=64, warps=8, stages=4)
FORTH_IN_LESS_ROOM = Tile(wide=128, step=64, warps=8, stages=3)
"""With the same sums: of many rows, and where a card has less shared memory than `FORTH` needs."""

SHARED_MEMORY = 130 * 1024
"""Bytes a program, with which a card has room for `FORTH`: some have 99 KiB, and others 163 KiB or more."""

FORTH_WIDE = Tile(wide=128, step=32, warps=4, stages=5)
"""Where there are more tiles of the result than programs."""

BACK = Tile(wide=128, step=32, warps=4, stages=5)

FORTH_OF_A_ROW = {
    torch.float32: Tile(wide=4, step=512, warps=4, stages=1),
    torch.bfloat16: Tile(wide=2, step=512, warps=2, stages=1),
}
"""By precision: a single row needs no tensor cores."""


def are_for_forward(inputs: Tensor, weight: Tensor) -> bool:
    """Whether `forward` takes rows (…, D) and a weight: a single row in bfloat16 too."""
    if inputs.numel() == inputs.shape[-1]:
        return _is_for_a_row(inputs, weight)
    return _are_for(inputs, weight, MOST_ROWS)


def are_for_backward(gradient: Tensor, weight: Tensor) -> bool:
    """Whether `backward` takes rows (…, F) and a weight."""
    return _are_for(gradient, weight, MOST_ROWS_BACK)


def _are_for(inputs: Tensor, weight: Tensor, most_rows: int) -> bool:
    return (
        1 < inputs.numel() // inputs.shape[-1] <= most_rows
        and inputs.dtype == weight.dtype == torch.float32
        and weight.is_contiguous()
        and all(size % FORTH.wide == 0 for size in weight.shape)
    )


def _is_for_a_row(inputs: Tensor, weight: Tensor) -> bool:
    outputs, dim = weight.shape
    tile = FORTH_OF_A_ROW.get(weight.dtype)
    if tile is None or inputs.dtype != weight.dtype or not weight.is_contiguous():
        return False
    return dim % tile.step == 0 and outputs % tile.wide == 0


def forward(inputs: Tensor, weight: Tensor, bias: Tensor | None, is_rectified: bool) -> Tensor:
    """W x + b, and max(0, …) of it if that is asked for. # (M, D) to (M, F)"""
    inputs = inputs.contiguous()
    outputs, dim = weight.shape
    rows = len(inputs)
    if rows == 1:
        return _row_forward(inputs, weight, bias, is_rectified=is_rectified)
    tile = _forth(rows, outputs, inputs.device)
    share, shares = _shares(outputs, dim, tile)
    parts = inputs.new_empty(shares, rows, outputs)
    with torch.cuda.device_of(inputs):  # type: ignore[no-untyped-call]
        multiply[(outputs // tile.wide, shares)](
            inputs,
            weight,
            parts,
            rows,
            dim,
            outputs,
            share,
            tile_rows=_tile_rows(rows),
            wide=tile.wide,
            step=tile.step,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
        return _added_up(parts, bias, is_rectified=is_rectified)


def backward(gradient: Tensor, weight: Tensor, active: Tensor | None) -> Tensor:
    """Wᵀ g, of the g where something is active if that is given. # (M, F), (M, F) to (M, D)"""
    gradient = gradient.contiguous()
    outputs, dim = weight.shape
    share, shares = _shares(dim, outputs, BACK)
    rows = len(gradient)
    parts = gradient.new_empty(shares, rows, dim)
    with torch.cuda.device_of(gradient):  # type: ignore[no-untyped-call]
        multiply_back[(dim // BACK.wide, shares)](
            gradient,
            gradient if active is None else active,
            weight,
            parts,
            rows,
            dim,
            outputs,
            share,
            is_masked=active is not None,
            tile_rows=_tile_rows(rows),
            wide=BACK.wide,
            step=BACK.step,
            num_warps=BACK.warps,
            num_stages=BACK.stages,
        )
        return _added_up(parts, None, is_rectified=False)


def _row_forward(inputs: Tensor, weight: Tensor, bias: Tensor | None, *, is_rectified: bool) -> Tensor:
    outputs, dim = weight.shape
    tile = FORTH_OF_A_ROW[weight.dtype]
    result = inputs.new_empty(1, outputs)
    with torch.cuda.device_of(inputs):  # type: ignore[no-untyped-call]
        multiply_row[(outputs // tile.wide,)](
            inputs,
            weight,
            weight if bias is None else bias,
            result,
            dim,
            has_bias=bias is not None,
            is_rectified=is_rectified,
            wide=tile.wide,
            step=tile.step,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return result


def _forth(rows: int, outputs: int, device: torch.device) -> Tile:
    if outputs > PROGRAMS * FORTH.wide:
        return FORTH_WIDE
    return FORTH if rows <= MOST_ROWS_BACK and _has_room(device) else FORTH_IN_LESS_ROOM


@cache
def _has_room(device: torch.device) -> bool:
    """Whether a card has the shared memory that `FORTH` needs; what only acts as one does."""
    if device.type != "cuda":
        return True
    properties: Any = torch.cuda.get_device_properties(device)  # whose types leave this one out
    return bool(properties.shared_memory_per_block_optin >= SHARED_MEMORY)


def _tile_rows(rows: int) -> int:
    return max(FEWEST_ROWS, int(triton.next_power_of_2(rows)))


def _shares(wide: int, summed: int, tile: Tile) -> tuple[int, int]:
    """How much each program sums over, and how many share a tile of the result."""
    steps, tiles = summed // tile.step, wide // tile.wide
    programs = 2 * PROGRAMS if steps * tiles > ENOUGH_STEPS * PROGRAMS else PROGRAMS
    share = triton.cdiv(steps, max(1, programs // tiles))
    return share * tile.step, triton.cdiv(steps, share)


def _added_up(parts: Tensor, bias: Tensor | None, *, is_rectified: bool) -> Tensor:
    """The sum of parts and a bias. # (S, M, F), (F,) to (M, F)"""
    if len(parts) == 1 and bias is None and not is_rectified:
        return parts[0]
    whole = torch.empty_like(parts[0])
    add_up[(triton.cdiv(whole.numel(), _SUMMED),)](
        parts,
        whole if bias is None else bias,
        whole,
        len(parts),
        whole.numel(),
        whole.shape[1],
        has_bias=bias is not None,
        is_rectified=is_rectified,
        block=_SUMMED,
    )
    return whole


@triton.jit(do_not_specialize=["count"])
def multiply(
    inputs,
    weight,
    parts,
    count,
    dim,
    outputs,
    share,
    tile_rows: tl.constexpr,
    wide: tl.constexpr,
    step: tl.constexpr,
):
    """A share of each sum over D, for a tile of the result. # (M, D), (F, D) to (S, M, F)"""
    column, part = tl.program_id(0).to(tl.int64) * wide, tl.program_id(1)
    rows, columns, places = tl.arange(0, tile_rows), tl.arange(0, wide), tl.arange(0, step)
    first = part * share
    is_real = (rows < count)[:, None]
    of_inputs = inputs + first + rows[:, None] * dim + places[None, :]
    of_weight = weight + column * dim + first + columns[:, None] * dim + places[None, :]
    total = tl.zeros((wide, tile_rows), tl.float32)
    for _ in range(first, min(first + share, dim), step):
        values = tl.load(of_inputs, mask=is_real, other=0.0)
        total = tl.dot(tl.load(of_weight), tl.trans(values), total, input_precision="tf32x3")
        of_inputs += step
        of_weight += step
    own = parts + part.to(tl.int64) * count * outputs + column
    tl.store(own + rows[:, None] * outputs + columns[None, :], tl.trans(total), mask=is_real)


@triton.jit
def multiply_row(
    inputs,
    weight,
    bias,
    result,
    dim,
    has_bias: tl.constexpr,
    is_rectified: tl.constexpr,
    wide: tl.constexpr,
    step: tl.constexpr,
):
    """Some of the sums over D, of a single row. # (D,), (F, D) to (F,)"""
    columns, places = tl.program_id(0).to(tl.int64) * wide + tl.arange(0, wide), tl.arange(0, step)
    of_weight = weight + columns[:, None] * dim + places[None, :]
    products = tl.zeros((wide, step), tl.float32)
    for first in range(0, dim, step):
        values = tl.load(inputs + first + places).to(tl.float32)
        products += tl.load(of_weight + first).to(tl.float32) * values[None, :]
    total = tl.sum(products, axis=1)
    if has_bias:
        total += tl.load(bias + columns).to(tl.float32)
    if is_rectified:
        total = tl.where(total < 0, 0.0, total)  # what is no number stays none
    tl.store(result + columns, total.to(result.dtype.element_ty))


@triton.jit(do_not_specialize=["count"])
def multiply_back(
    gradient,
    active,
    weight,
    parts,
    count,
    dim,
    outputs,
    share,
    is_masked: tl.constexpr,
    tile_rows: tl.constexpr,
    wide: tl.constexpr,
    step: tl.constexpr,
):
    """A share of each sum over F, for a tile of the result. # (M, F), (F, D) to (S, M, D)"""
    column, part = tl.program_id(0) * wide, tl.program_id(1)
    rows, columns, places = tl.arange(0, tile_rows), tl.arange(0, wide), tl.arange(0, step)
    first = part * share
    is_real = (rows < count)[:, None]
    of_gradient = first + rows[:, None] * outputs + places[None, :]
    of_weight = weight + first.to(tl.int64) * dim + column + places[:, None] * dim + columns[None, :]
    total = tl.zeros((tile_rows, wide), tl.float32)
    for _ in range(first, min(first + share, outputs), step):
        values = tl.load(gradient + of_gradient, mask=is_real, other=0.0)
        if is_masked:
            values = tl.where(tl.load(active + of_gradient, mask=is_real, other=0.0) > 0, values, 0.0)
        total = tl.dot(values, tl.load(of_weight), total, input_precision="tf32x3")
        of_gradient += step
        of_weight += step * dim
    own = parts + part.to(tl.int64) * count * dim + column
    tl.store(own + rows[:, None] * dim + columns[None, :], total, mask=is_real)


@triton.jit(do_not_specialize=["count"])
def add_up(
    parts,
    bias,
    whole,
    count,
    size,
    width,
    has_bias: tl.constexpr,
    is_rectified: tl.constexpr,
    block: tl.constexpr,
):
    """The sum of parts, one after the other, and of a bias. # (S, M, F), (F,) to (M, F)"""
    places = tl.program_id(0) * block + tl.arange(0, block)
    is_real = places < size
    total = tl.zeros((block,), tl.float32)
    of_part = parts + places
    for _ in range(count):
        total += tl.load(of_part, mask=is_real, other=0.0)
        of_part += size
    if has_bias:
        total += tl.load(bias + places % width, mask=is_real, other=0.0)
    if is_rectified:
        total = tl.where(total < 0, 0.0, total)  # what is no number stays none
    tl.store(whole + places, total, mask=is_real)
