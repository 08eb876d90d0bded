"""Products of few rows and their gradients: against float64 written out here."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.fast import products, products_kernels
from engine.fast.products import BY_TORCH, Kernels, kernels_on, linear, linear_relu, product_with_transpose
from tests.engine.fast.compiling import machine_code
from tests.engine.fast.interpreted import interpreted

SHAPES = {"one row": (1, 128, 256), "a target": (17, 384, 128), "most rows": (64, 256, 256)}
"""M, D, F"""

KINDS = {"plain": (False, False), "bias": (True, False), "rectified": (True, True)}

Case = tuple[Tensor, Tensor, Tensor | None, Tensor, bool]


def case(shape: str, kind: str) -> Case:
    """Rows, weight, bias, the gradient of the result, and whether that is rectified."""
    rows, dim, outputs = SHAPES[shape]
    has_bias, is_rectified = KINDS[kind]
    random = torch.Generator().manual_seed(rows)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=random)

    bias = draw(outputs) if has_bias else None
    return draw(rows, dim), draw(outputs, dim), bias, draw(rows, outputs), is_rectified


def expected(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, gradient: Tensor, is_rectified: bool
) -> tuple[Tensor, Tensor]:
    """The product, and the gradient of the rows, in float64."""
    result = hidden.double() @ weight.double().T
    if bias is not None:
        result = result + bias.double()
    passed = gradient.double()
    if is_rectified:
        passed = torch.where(result > 0, passed, 0.0)
        result = result.clamp(min=0)
    return result, passed @ weight.double()


def assert_near(found: Tensor, right: Tensor, tolerance: float = 1e-6) -> None:
    assert found.dtype == torch.float32
    assert (found.double() - right).abs().max().item() <= tolerance * right.abs().max().item()


def test_kernels(tmp_path: Path) -> None:
    cases = {f"{shape}, {kind}": case(shape, kind) for shape in SHAPES for kind in KINDS}
    outputs = interpreted("interpreted_products", cases, tmp_path)
    for name, each in cases.items():
        for found, right in zip(outputs[name], expected(*each), strict=True):
            assert_near(found, right)
