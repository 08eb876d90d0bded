"""Products of few rows and their gradients: against float64 written out here."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from engine.fast import products, products_kernels
from engine.fast.products import BY_TORCH, Kernels, kernels_on, linear, linear_relu, product_with_transpose
from tests.engine.fast.compiling import AMPERE, compiled_for, machine_code
from tests.engine.fast.interpreted import interpreted

SHAPES = {
    "a row": (1, 512, 256),
    "few": (2, 128, 256),
    "a target": (17, 384, 128),
    "most rows": (64, 256, 256),
}
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
    kinds = ("bias", "plain", "rectified", "bias")
    cases = {shape: case(shape, kind) for shape, kind in zip(SHAPES, kinds, strict=True)}
    outputs = interpreted("interpreted_products", cases, tmp_path)
    for name, each in cases.items():
        for found, right in zip(outputs[name], expected(*each), strict=True):
            assert_near(found, right)


def by_formulas(*, wrong: str | None = None) -> Kernels:
    """Formulas in the kernels' places, one of them wrong if that is asked for."""

    def forward(hidden: Tensor, weight: Tensor, bias: Tensor | None, is_rectified: bool) -> Tensor:
        assert hidden.dim() == 2
        result, _ = expected(hidden, weight, bias, torch.zeros(len(hidden), len(weight)), is_rectified)
        return result.float() * (1.001 if wrong == "forward" else 1)

    def backward(gradient: Tensor, weight: Tensor, active: Tensor | None) -> Tensor:
        if active is not None and wrong != "mask":
            gradient = gradient * (active > 0)
        return (gradient.double() @ weight.double()).float() * (1.001 if wrong == "backward" else 1)

    return Kernels(forward, backward, products_kernels.are_for_forward, products_kernels.are_for_backward)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("has_kernels", [False, True])
def test_gradients(monkeypatch: pytest.MonkeyPatch, shape: str, kind: str, has_kernels: bool) -> None:
    hidden, weight, bias, gradient, is_rectified = case(shape, kind)
    if has_kernels:
        monkeypatch.setattr(products, "kernels_on", lambda device: by_formulas())
    where = hidden.view(1, *hidden.shape).clone().requires_grad_()
    if bias is not None and is_rectified:
        result = linear_relu(where, weight, bias)
    else:
        result = linear(where, weight, bias)
    assert result.shape == (1, *gradient.shape)
    (of_where,) = torch.autograd.grad(result, where, gradient.mT.contiguous().mT.view_as(result))
    right, of_right = expected(hidden, weight, bias, gradient, is_rectified)
    assert_near(result[0].detach(), right)
    assert_near(of_where[0], of_right)
    assert_near(product_with_transpose(gradient, weight), gradient.double() @ weight.double())


@pytest.mark.parametrize("wrong", [None, "forward", "backward", "mask"])
def test_kernels_that_are_wrong_are_not_used(wrong: str | None) -> None:
    """A thousandth is: plain TF32 is off by that much."""
    if wrong is None:
        products.check(by_formulas(), torch.device("cpu"))
        products.check(BY_TORCH, torch.device("cpu"))
        return
    with pytest.raises(ArithmeticError):
        products.check(by_formulas(wrong=wrong), torch.device("cpu"))


@pytest.mark.parametrize(
    ("rows", "weight", "are_taken", "are_taken_back"),
    [
        (1, torch.empty(100, 512), True, False),
        (1, torch.empty(100, 512, dtype=torch.bfloat16), True, False),
        (1, torch.empty(128, 128), False, False),
        (2, torch.empty(128, 384), True, True),
        (32, torch.empty(128, 128), True, True),
        (33, torch.empty(128, 128), True, False),
        (64, torch.empty(128, 128), True, False),
        (65, torch.empty(128, 128), False, False),
        (17, torch.empty(128, 100), False, False),
        (17, torch.empty(100, 128), False, False),
        (17, torch.empty(128, 256).T, False, False),
        (17, torch.empty(128, 128, dtype=torch.bfloat16), False, False),
    ],
)
def test_what_the_kernels_are_for(rows: int, weight: Tensor, are_taken: bool, are_taken_back: bool) -> None:
    hidden, gradient = (torch.empty(1, rows, size, dtype=weight.dtype) for size in weight.shape[::-1])
    assert products_kernels.are_for_forward(hidden, weight) == are_taken
    assert products_kernels.are_for_backward(gradient, weight) == are_taken_back


def test_kernels_compile_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    names = ("inputs", "gradient", "active", "weight", "bias", "parts", "whole", "result")
    types = dict.fromkeys(names, "*fp32")
    types |= dict.fromkeys(("count", "dim", "outputs", "share", "size", "width"), "i32")
    tile = {"tile_rows": 16, "wide": 128, "step": 32}
    for kernel, constants in (
        (products_kernels.multiply, tile),
        (products_kernels.multiply_row, {"has_bias": 1, "is_rectified": 1, "wide": 2, "step": 512}),
        (products_kernels.multiply_back, tile | {"is_masked": 1}),
        (products_kernels.add_up, {"has_bias": 1, "is_rectified": 1, "block": 512}),
    ):
        assert machine_code(kernel, types, constants)


TYPES = dict.fromkeys(("inputs", "gradient", "active", "weight", "parts"), "*fp32") | dict.fromkeys(
    ("count", "dim", "outputs", "share"), "i32"
)


@pytest.mark.parametrize(
    ("kernel", "rows", "outputs"),
    [("multiply", 32, 1024), ("multiply", 64, 256_256), ("multiply_back", 32, 1024)],
)
def test_a_program_fits_into_the_least_shared_memory_of_cards_like_ampere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str, rows: int, outputs: int
) -> None:
    """Those of compute capability 8.6 and 8.9."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    masked, tile = {"is_masked": 1}, products_kernels.BACK
    if kernel == "multiply":
        masked, tile = {}, chosen_tile(monkeypatch, kib=99, rows=rows, outputs=outputs)
    constants = {"tile_rows": rows, "wide": tile.wide, "step": tile.step, **masked}
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    made = compiled_for(AMPERE, getattr(products_kernels, kernel), TYPES, constants, **options)
    assert 0 < made.metadata.shared <= 99 * 1024


def chosen_tile(
    monkeypatch: pytest.MonkeyPatch, *, kib: int, rows: int, outputs: int = 1024
) -> products_kernels.Tile:
    """On a card with so much shared memory for a program."""
    properties = SimpleNamespace(shared_memory_per_block_optin=kib * 1024)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    products_kernels._has_room.cache_clear()
    try:
        return products_kernels._forth(rows, outputs, torch.device("cuda", 0))
    finally:
        products_kernels._has_room.cache_clear()


@pytest.mark.parametrize(
    ("kib", "rows", "stages"),
    [(64, 17, 3), (99, 17, 3), (130, 17, 4), (163, 32, 4), (227, 2, 4), (227, 33, 3)],
)
def test_the_room_of_a_card_decides_how_much_is_loaded_at_once_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, kib: int, rows: int, stages: int
) -> None:
    """What else a tile has decides about the sums."""
    chosen = chosen_tile(monkeypatch, kib=kib, rows=rows)
    assert chosen == replace(products_kernels.FORTH, stages=stages)


def test_the_cpu_has_no_kernels() -> None:
    assert kernels_on(torch.device("cpu")) is None
