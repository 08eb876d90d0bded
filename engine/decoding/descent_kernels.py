"""Hypotheses that go on from others as a Triton kernel: a program has one row, read and written once."""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

import torch
import triton
import triton.language as tl
from torch import Tensor

_WARPS = 4


def descend(table: Tensor, parents: Tensor, position: Tensor, written: Tensor) -> None:
    """As engine.decoding.descent.by_torch, of contiguous tensors."""
    rows, beam, positions = table.shape
    with torch.cuda.device_of(table):  # type: ignore[no-untyped-call]
        descend_row[(rows,)](
            table,
            parents,
            position,
            written,
            written.stride(0),
            positions,
            beam=beam,
            slots=triton.next_power_of_2(beam),
            places=triton.next_power_of_2(positions),
            num_warps=_WARPS,
        )


@triton.jit
def descend_row(
    table,
    parents,
    position,
    written,
    written_stride,
    positions,
    beam: tl.constexpr,
    slots: tl.constexpr,
    places: tl.constexpr,
):
    """Put each hypothesis' parent in its place, and what it goes on with at the position. # (B, L)"""
    row = tl.program_id(0).to(tl.int64)
    hypotheses, columns = tl.arange(0, slots), tl.arange(0, places)
    is_hypothesis = hypotheses < beam
    is_real = is_hypothesis[:, None] & (columns < positions)[None, :]
    of_row = table + row * beam * positions
    parent = tl.load(parents + row * beam + hypotheses, mask=is_hypothesis, other=0)
    past = tl.load(of_row + parent[:, None] * positions + columns[None, :], mask=is_real, other=0)
    latest = tl.load(written + row * written_stride + hypotheses, mask=is_hypothesis, other=0)
    is_latest = columns == tl.load(position)
    found = tl.where(is_latest[None, :], latest[:, None], past)
    tl.debug_barrier()  # all is read before anything of it is overwritten
    tl.store(of_row + hypotheses[:, None] * positions + columns[None, :], found, mask=is_real)
