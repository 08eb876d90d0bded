"""SiLU of one half of a row times the other half, as Triton kernels, which read and write each value once."""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 512
"""Columns of a row that a program looks at."""


def forward(gate_up: Tensor) -> Tensor:
    """silu(gate) · up, of a contiguous tensor. # (…, 2 · F) to (…, F)"""
    inner = gate_up.shape[-1] // 2
    product = gate_up.new_empty(*gate_up.shape[:-1], inner)
    with torch.cuda.device_of(gate_up):  # type: ignore[no-untyped-call]
        gate[(product.numel() // inner, triton.cdiv(inner, _BLOCK))](gate_up, product, inner, block=_BLOCK)
    return product


def backward(gate_up: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of both halves, given that of the product, contiguous. # (…, 2 · F)"""
    inner = gate_up.shape[-1] // 2
    of_both = torch.empty_like(gate_up)
    with torch.cuda.device_of(gate_up):  # type: ignore[no-untyped-call]
        gate_backward[(gradient.numel() // inner, triton.cdiv(inner, _BLOCK))](
            gate_up, gradient, of_both, inner, block=_BLOCK
        )
    return of_both


@triton.jit
def gate(gate_up, product, inner, block: tl.constexpr):
    """silu(gate) · up of a part of a row. # (M, 2 · F) to (M, F)"""
    row, columns = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    is_real = columns < inner
    places = gate_up + row * 2 * inner + columns
    gates = tl.load(places, mask=is_real, other=0.0).to(tl.float32)
    ups = tl.load(places + inner, mask=is_real, other=0.0).to(tl.float32)
    found = gates / (1 + tl.exp(-gates)) * ups
    tl.store(product + row * inner + columns, found.to(product.dtype.element_ty), mask=is_real)


@triton.jit
def gate_backward(gate_up, gradient, of_both, inner, block: tl.constexpr):
    """The gradient of a part of a row and of the same part of its other half. # (M, 2 · F)"""
    row, columns = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    is_real = columns < inner
    places = row * 2 * inner + columns
    gates = tl.load(gate_up + places, mask=is_real, other=0.0).to(tl.float32)
    ups = tl.load(gate_up + places + inner, mask=is_real, other=0.0).to(tl.float32)
    given = tl.load(gradient + row * inner + columns, mask=is_real, other=0.0).to(tl.float32)
    sigmoid = 1 / (1 + tl.exp(-gates))
    of_gates = given * ups * sigmoid * (1 + gates * (1 - sigmoid))
    of_ups = given * gates * sigmoid
    tl.store(of_both + places, of_gates.to(of_both.dtype.element_ty), mask=is_real)
    tl.store(of_both + places + inner, of_ups.to(of_both.dtype.element_ty), mask=is_real)
