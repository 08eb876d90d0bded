"""Sums and their layer norm as Triton kernels: a program has one row, which it reads and writes once."""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.fast.residual import Norm

_SUMMED = 2048
"""Values, about, that a program adds up over the positions."""


def forward(
    hidden: Tensor, added: Tensor | None, context: Tensor | None, norm: Norm
) -> tuple[Tensor, Tensor, Tensor]:
    """As engine.fast.residual.add_and_norm, and mean and 1 / deviation of each row. # (N · T, 2), float32"""
    hidden = hidden.contiguous()
    _, positions, dim = hidden.shape
    total, normed = torch.empty_like(hidden), torch.empty_like(hidden)
    rows = hidden.new_empty(hidden.numel() // dim, 2, dtype=torch.float32)
    with torch.cuda.device_of(hidden):  # type: ignore[no-untyped-call]
        norm_of_sum[(len(rows),)](
            hidden,
            hidden if added is None else added.contiguous(),
            hidden if context is None else context,
            norm.weight,
            norm.weight if norm.bias is None else norm.bias,
            total,
            normed,
            rows,
            positions,
            dim,
            0 if context is None else context.stride(0),
            norm.epsilon,
            is_added=added is not None,
            is_in_context=context is not None,
            is_centred=norm.bias is not None,
            size=triton.next_power_of_2(dim),
        )
    return total, normed, rows


def backward(total: Tensor, rows: Tensor, norm: Norm, of_normed: Tensor, of_total: Tensor | None) -> Tensor:
    """The gradient of what was added (N, T, D), given those of the norm and the sum (N, T, D), contiguous."""
    gradient = torch.empty_like(total)
    dim = total.shape[-1]
    with torch.cuda.device_of(total):  # type: ignore[no-untyped-call]
        norm_of_sum_backward[(len(rows),)](
            total,
            rows,
            norm.weight,
            of_normed,
            of_normed if of_total is None else of_total,
            gradient,
            dim,
            has_total=of_total is not None,
            is_centred=norm.bias is not None,
            size=triton.next_power_of_2(dim),
        )
    return gradient


def over_positions(gradient: Tensor) -> Tensor:
    """The sum over the positions, of a contiguous gradient. # (N, T, D) to (N, 1, D)"""
    texts, positions, dim = gradient.shape
    summed = gradient.new_empty(texts, 1, dim)
    tile = triton.next_power_of_2(positions)
    width = max(16, _SUMMED // tile)
    with torch.cuda.device_of(gradient):  # type: ignore[no-untyped-call]
        sum_over_positions[(texts, triton.cdiv(dim, width))](
            gradient, summed, positions, dim, tile=tile, width=width
        )
    return summed


@triton.jit
def norm_of_sum(
    hidden,
    added,
    context,
    weight,
    bias,
    total,
    normed,
    rows,
    positions,
    dim,
    context_stride,
    epsilon,
    is_added: tl.constexpr,
    is_in_context: tl.constexpr,
    is_centred: tl.constexpr,
    size: tl.constexpr,
):
    """Add up a row, and normalise what is kept of it. # (D,)"""
    row, columns = tl.program_id(0).to(tl.int64), tl.arange(0, size)
    is_real = columns < dim
    places = row * dim + columns
    values = tl.load(hidden + places, mask=is_real, other=0.0).to(tl.float32)
    if is_added:
        values += tl.load(added + places, mask=is_real, other=0.0).to(tl.float32)
    if is_in_context:
        of_text = row // positions * context_stride + columns
        values += tl.load(context + of_text, mask=is_real, other=0.0).to(tl.float32)
    kept = values.to(total.dtype.element_ty)
    tl.store(total + places, kept, mask=is_real)
    values = kept.to(tl.float32)
    mean = tl.sum(values, axis=0) / dim if is_centred else 0.0
    centred = tl.where(is_real, values - mean, 0.0)
    inverse = 1 / tl.sqrt(tl.sum(centred * centred, axis=0) / dim + epsilon)
    tl.store(rows + 2 * row, mean)
    tl.store(rows + 2 * row + 1, inverse)
    scale = tl.load(weight + columns, mask=is_real, other=0.0).to(tl.float32)
    found = centred * inverse * scale
    if is_centred:
        found += tl.load(bias + columns, mask=is_real, other=0.0).to(tl.float32)
    tl.store(normed + places, found.to(normed.dtype.element_ty), mask=is_real)


@triton.jit
def norm_of_sum_backward(
    total,
    rows,
    weight,
    of_normed,
    of_total,
    gradient,
    dim,
    has_total: tl.constexpr,
    is_centred: tl.constexpr,
    size: tl.constexpr,
):
    """The gradient of a row, by way of its norm and beside it. # (D,)"""
    row, columns = tl.program_id(0).to(tl.int64), tl.arange(0, size)
    is_real = columns < dim
    places = row * dim + columns
    inverse = tl.load(rows + 2 * row + 1)
    values = tl.load(total + places, mask=is_real, other=0.0).to(tl.float32)
    centred = tl.where(is_real, (values - tl.load(rows + 2 * row)) * inverse, 0.0)
    scale = tl.load(weight + columns, mask=is_real, other=0.0).to(tl.float32)
    given = scale * tl.load(of_normed + places, mask=is_real, other=0.0).to(tl.float32)
    along = tl.sum(given * centred, axis=0) / dim
    found = given - centred * along
    if is_centred:
        found -= tl.sum(given, axis=0) / dim
    found *= inverse
    if has_total:
        found += tl.load(of_total + places, mask=is_real, other=0.0).to(tl.float32)
    tl.store(gradient + places, found.to(gradient.dtype.element_ty), mask=is_real)


@triton.jit
def sum_over_positions(gradient, summed, positions, dim, tile: tl.constexpr, width: tl.constexpr):
    """The sum over a text's positions, of some coordinates. # (N, T, D) to (N, D)"""
    text = tl.program_id(0).to(tl.int64)
    rows, columns = tl.arange(0, tile)[:, None], (tl.program_id(1) * width + tl.arange(0, width))[None, :]
    places = (text * positions + rows) * dim + columns
    values = tl.load(gradient + places, mask=(rows < positions) & (columns < dim), other=0.0)
    total = tl.sum(values.to(tl.float32), axis=0)[None, :]
    tl.store(summed + text * dim + columns, total.to(summed.dtype.element_ty), mask=columns < dim)
