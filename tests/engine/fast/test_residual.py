"""A sum, its layer norm, and the gradient through both: against float64 written out here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.fast import residual, residual_kernels
from engine.fast.residual import Kernels, Norm, add_and_norm, by_torch, kernels_on, norm_of
from tests.engine.fast.compiling import machine_code
from tests.engine.fast.interpreted import interpreted
from tests.engine.toy import toy_bundle

SHAPES = {"one text": (1, 5, 64), "texts": (3, 2, 96)}
"""N, T, D"""

PARTS = {
    "all": (True, True, True),
    "no context": (True, False, True),
    "nothing added": (False, True, True),
    "RMSNorm": (True, False, False),
}

EPSILON = 1e-3


def inputs(shape: str, parts: str, dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
    """Hidden states, what is added, context, the norm's weights, gradients of norm and sum."""
    texts, positions, dim = SHAPES[shape]
    random = torch.Generator().manual_seed(dim)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=random).to(dtype)

    contexts = draw(texts, 2, 1, dim)  # of two layers, side by side
    is_added, is_in_context, is_centred = PARTS[parts]
    return (
        draw(texts, positions, dim),
        draw(texts, positions, dim) if is_added else None,
        contexts.unbind(1)[1] if is_in_context else None,
        (draw(dim), draw(dim) if is_centred else None, EPSILON),
        draw(texts, positions, dim),
        draw(texts, positions, dim) if is_in_context else None,
    )


@torch.enable_grad()  # type: ignore[no-untyped-call]
def expected(
    hidden: Tensor,
    added: Tensor | None,
    context: Tensor | None,
    weights: tuple[Tensor, Tensor | None, float],
    of_normed: Tensor,
    of_total: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum, norm, and the gradient of what was added, in float64."""
    total = hidden.double()
    for more in (added, context):
        if more is not None:
            total = total + more.double()

    def norm(values: Tensor) -> Tensor:
        is_centred = weights[1] is not None
        centred = values - values.mean(dim=-1, keepdim=True) if is_centred else values
        deviation = (centred.pow(2).mean(dim=-1, keepdim=True) + weights[2]).sqrt()
        normed = centred / deviation * weights[0].double()
        return normed if weights[1] is None else normed + weights[1].double()

    where = total.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((norm(where) * of_normed.double()).sum(), where)
    return total, norm(total), gradient if of_total is None else gradient + of_total.double()


def over_positions(gradient: Tensor) -> Tensor:
    return gradient.double().sum(dim=1, keepdim=True).to(gradient.dtype)


def assert_near(found: Tensor, right: Tensor, tolerance: float) -> None:
    assert (found.double() - right).abs().max().item() <= tolerance * right.abs().max().item()


def test_kernels(tmp_path: Path) -> None:
    cases = {
        f"{shape}, {parts}, {dtype}": inputs(shape, parts, dtype)
        for shape in SHAPES
        for parts in PARTS
        for dtype in (torch.float32, torch.bfloat16)
    }
    outputs = interpreted("interpreted_residual", cases, tmp_path)
    for name, case in cases.items():
        # bfloat16 has eight digits, and the interpreter does not round to the nearest.
        tolerance = 1e-6 if name.endswith("float32") else 2e-2
        right_sum = case[4].double().sum(dim=1, keepdim=True)
        for found, right in zip(outputs[name], (*expected(*case), right_sum), strict=True):
            assert found.dtype == case[0].dtype
            assert_near(found, right, tolerance)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("has_kernels", [False, True])
def test_gradients(monkeypatch: pytest.MonkeyPatch, shape: str, parts: str, has_kernels: bool) -> None:
    """Of all that is added; with kernels, of formulas in their places."""
    hidden, added, context, weights, of_normed, of_total = inputs(shape, parts)
    norm = Norm(*weights)

    def forward(
        hidden: Tensor, added: Tensor | None, context: Tensor | None, norm: Norm
    ) -> tuple[Tensor, Tensor, Tensor]:
        return (*by_torch(hidden, added, context, norm), torch.empty(0))

    def backward(
        total: Tensor, rows: Tensor, norm: Norm, of_normed: Tensor, of_total: Tensor | None
    ) -> Tensor:
        return expected(total, None, None, weights, of_normed, of_total)[2].to(total.dtype)

    if has_kernels:
        kernels = Kernels(forward, backward, over_positions)
        residual.check(kernels_of_any_norm(), torch.device("cpu"))
        monkeypatch.setattr(residual, "kernels_on", lambda device: kernels)
    given = [each for each in (hidden, added, context) if each is not None]
    for each in given:
        each.requires_grad_()
    total, normed = add_and_norm(hidden, added, context, norm)
    loss = (normed * of_normed).sum()
    if of_total is not None:
        loss = loss + (total * of_total).sum()
    gradients = torch.autograd.grad(loss, given)
    right = expected(hidden, added, context, weights, of_normed, of_total)
    assert_near(total.detach(), right[0].detach(), 1e-6)
    assert_near(normed.detach(), right[1].detach(), 1e-6)
    for each, gradient in zip(given, gradients, strict=True):
        is_context = each is context
        assert gradient.shape == each.shape
        assert_near(gradient, right[2].sum(dim=1, keepdim=True) if is_context else right[2], 1e-5)


def kernels_of_any_norm(*, wrong: str | None = None) -> Kernels:
    """Formulas in the kernels' places, one of them wrong if that is asked for."""

    def forward(
        hidden: Tensor, added: Tensor | None, context: Tensor | None, norm: Norm
    ) -> tuple[Tensor, Tensor, Tensor]:
        total, normed = by_torch(hidden, added, context, norm)
        return total + (wrong == "total"), normed + (wrong == "normed"), torch.empty(0)

    def backward(
        total: Tensor, rows: Tensor, norm: Norm, of_normed: Tensor, of_total: Tensor | None
    ) -> Tensor:
        weights = (norm.weight, norm.bias, norm.epsilon)
        return expected(total, None, None, weights, of_normed, of_total)[2].to(total.dtype) + (
            wrong == "gradient"
        )

    return Kernels(forward, backward, over_positions)


@pytest.mark.parametrize("wrong", ["total", "normed", "gradient"])
def test_kernels_that_are_wrong_are_not_used(wrong: str) -> None:
    with pytest.raises(ArithmeticError):
        residual.check(kernels_of_any_norm(wrong=wrong), torch.device("cpu"))


def test_sums_over_positions_that_are_wrong_are_not_used() -> None:
    kernels = replace(kernels_of_any_norm(), over_positions=lambda gradient: gradient[:, :1])
    with pytest.raises(ArithmeticError):
        residual.check(kernels, torch.device("cpu"))


def test_kernels_compile_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    added = ("hidden", "added", "context", "weight", "bias", "total", "normed")
    names = (*added, "of_normed", "of_total", "gradient")
    types = dict.fromkeys((*names, "summed"), "*bf16") | {"rows": "*fp32", "epsilon": "fp32"}
    types |= dict.fromkeys(("positions", "dim", "context_stride"), "i32")
    for kernel, constants in (
        (residual_kernels.norm_of_sum, {"is_added": 1, "is_in_context": 1, "is_centred": 1, "size": 1024}),
        (residual_kernels.norm_of_sum_backward, {"has_total": 1, "is_centred": 0, "size": 1024}),
        (residual_kernels.sum_over_positions, {"tile": 32, "width": 64}),
    ):
        assert machine_code(kernel, types, constants)


def test_a_norm_is_taken_as_it_lies() -> None:
    decoder: Any = toy_bundle().decoder.decoder
    module = decoder.layer_norm
    norm = norm_of(module)
    assert norm.weight.data_ptr() == module.weight.data_ptr()
    hidden = torch.randn(2, 3, len(norm.weight), generator=torch.Generator().manual_seed(0))
    assert torch.equal(norm(hidden), module(hidden))
    with pytest.raises(TypeError, match="a layer norm with weights and biases is needed"):
        norm_of(nn.Identity())


def test_the_cpu_has_no_kernels() -> None:
    assert kernels_on(torch.device("cpu")) is None
