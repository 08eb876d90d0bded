"""Cross-entropy and its derivative as Triton kernels, which read the logits twice and write the errors once.

A row is cut into segments, so that few rows keep a card as busy as many.
"""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

import torch
import triton
import triton.language as tl
from torch import Tensor

SEGMENT = 8192
"""Logits that a program looks at; a multiple of the rows of a tile, so that each has some of a token."""

_WARPS = 8


def by_kernels(
    logits: Tensor, tokens: Tensor, vocabulary: int, errors_dtype: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """As engine.fast.softmax.losses_and_errors, of contiguous logits."""
    tokens = tokens.contiguous()
    rows, width = logits.shape
    segments = triton.cdiv(width, SEGMENT)
    highest, sums = logits.new_empty(2, rows, segments, dtype=torch.float32).unbind()
    logarithms, losses = logits.new_empty(2, rows, dtype=torch.float32).unbind()
    errors = None if errors_dtype is None else logits.new_empty(rows, width, dtype=errors_dtype)
    grid = (rows, segments)
    with torch.cuda.device_of(logits):  # type: ignore[no-untyped-call]
        segment_sums[grid](logits, highest, sums, width, vocabulary, segment_size=SEGMENT, num_warps=_WARPS)
        row_losses[(rows,)](
            logits,
            tokens,
            highest,
            sums,
            logarithms,
            losses,
            width,
            segments,
            most_segments=triton.next_power_of_2(segments),
        )
        if errors is not None:
            row_errors[grid](
                logits, tokens, logarithms, errors, width, vocabulary, segment_size=SEGMENT, num_warps=_WARPS
            )
    return losses, errors


@triton.jit
def segment_sums(logits, highest, sums, width, vocabulary, segment_size: tl.constexpr):
    """Highest logit h of each segment (K, S), and Σ exp(logit − h) (K, S)."""
    row, segment = tl.program_id(0).to(tl.int64), tl.program_id(1)
    columns = segment * segment_size + tl.arange(0, segment_size)
    values = tl.load(logits + row * width + columns, mask=columns < width, other=-float("inf"))
    values = tl.where(columns < vocabulary, values.to(tl.float32), -float("inf"))
    of_segment = tl.max(values, axis=0)
    place = row * tl.num_programs(1) + segment
    tl.store(highest + place, of_segment)
    tl.store(sums + place, tl.sum(tl.exp(values - of_segment), axis=0))


@triton.jit
def row_losses(
    logits,
    tokens,
    highest,
    sums,
    logarithms,
    losses,
    width,
    segments,
    most_segments: tl.constexpr,
):
    """The logarithm of Σ exp(logit) of each row (K,), and that less the token's logit (K,), of S segments."""
    row = tl.program_id(0).to(tl.int64)
    places = tl.arange(0, most_segments)
    is_real = places < segments
    of_segments = tl.load(highest + row * segments + places, mask=is_real, other=-float("inf"))
    parts = tl.load(sums + row * segments + places, mask=is_real, other=0.0)
    of_row = tl.max(of_segments, axis=0)
    logarithm = of_row + tl.log(tl.sum(parts * tl.exp(of_segments - of_row), axis=0))
    tl.store(logarithms + row, logarithm)
    of_token = tl.load(logits + row * width + tl.load(tokens + row)).to(tl.float32)
    tl.store(losses + row, logarithm - of_token)


@triton.jit
def row_errors(logits, tokens, logarithms, errors, width, vocabulary, segment_size: tl.constexpr):
    """exp(logit − log Σ exp(logit)), less 1 at the token, and 0 in padding. # (K, V')"""
    row, segment = tl.program_id(0).to(tl.int64), tl.program_id(1)
    columns = segment * segment_size + tl.arange(0, segment_size)
    is_real = columns < width
    values = tl.load(logits + row * width + columns, mask=is_real, other=-float("inf"))
    probabilities = tl.where(
        columns < vocabulary, tl.exp(values.to(tl.float32) - tl.load(logarithms + row)), 0.0
    )
    of_columns = probabilities - tl.where(columns == tl.load(tokens + row), 1.0, 0.0)
    tl.store(errors + row * width + columns, of_columns.to(errors.dtype.element_ty), mask=is_real)
