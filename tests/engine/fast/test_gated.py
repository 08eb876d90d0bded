"""A gated activation and its gradient: against float64 written out here."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.fast import gated as gated_module
from engine.fast import gated_kernels
from engine.fast.gated import Kernels, gated, kernels_on
from tests.engine.fast.compiling import machine_code
from tests.engine.fast.interpreted import interpreted

SHAPES = {"a row": (1, 1, 40), "texts": (3, 2, 700)}
"""N, S, F"""


def inputs(shape: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Gate and up, and the gradient of the product."""
    *rows, inner = SHAPES[shape]
    random = torch.Generator().manual_seed(inner)
    gate_up = 3 * torch.randn(*rows, 2 * inner, generator=random)
    return gate_up.to(dtype), torch.randn(*rows, inner, generator=random).to(dtype)


def expected(gate_up: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The product, and the gradient of gate and up, in float64."""
    gate, up = gate_up.double().chunk(2, dim=-1)
    sigmoid = 1 / (1 + (-gate).exp())
    of_gate = gradient.double() * up * (sigmoid + gate * sigmoid * (1 - sigmoid))
    return gate * sigmoid * up, torch.cat([of_gate, gradient.double() * gate * sigmoid], dim=-1)


def assert_near(found: Tensor, right: Tensor, tolerance: float = 1e-6) -> None:
    assert (found.double() - right).abs().max().item() <= tolerance * right.abs().max().item()


def by_formulas(*, wrong: str | None = None) -> Kernels:
    """Formulas in the kernels' places, one of them wrong if that is asked for."""

    def forward(gate_up: Tensor) -> Tensor:
        product, _ = expected(gate_up, torch.zeros(*gate_up.shape[:-1], gate_up.shape[-1] // 2))
        return product.to(gate_up.dtype) + (wrong == "forward")

    def backward(gate_up: Tensor, gradient: Tensor) -> Tensor:
        return expected(gate_up, gradient)[1].to(gate_up.dtype) + (wrong == "backward")

    return Kernels(forward, backward)


def test_kernels(tmp_path: Path) -> None:
    cases = {
        f"{shape} {dtype}": inputs(shape, dtype)
        for shape in SHAPES
        for dtype in (torch.float32, torch.bfloat16)
    }
    outputs = interpreted("interpreted_gated", cases, tmp_path)
    for name, case in cases.items():
        for found, right in zip(outputs[name], expected(*case), strict=True):
            assert found.dtype == case[0].dtype
            assert_near(found, right, 1e-6 if name.endswith("float32") else 1e-2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("has_kernels", [False, True])
def test_gradients(monkeypatch: pytest.MonkeyPatch, shape: str, has_kernels: bool) -> None:
    if has_kernels:
        monkeypatch.setattr(gated_module, "kernels_on", lambda device: by_formulas())
    gate_up, gradient = inputs(shape)
    where = gate_up.clone().requires_grad_()
    product = gated(where, nn.SiLU())
    assert product.grad_fn is not None
    assert ("Gated" in product.grad_fn.name()) == has_kernels
    (of_where,) = torch.autograd.grad(product, where, gradient)
    for found, right in zip((product.detach(), of_where), expected(gate_up, gradient), strict=True):
        assert_near(found, right)


def test_other_activations_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gated_module, "kernels_on", lambda device: by_formulas(wrong="forward"))
    gate_up, _ = inputs("texts")
    gate, up = gate_up.chunk(2, dim=-1)
    assert torch.equal(gated(gate_up, nn.GELU()), nn.functional.gelu(gate) * up)


@pytest.mark.parametrize("wrong", ["forward", "backward"])
def test_kernels_that_are_wrong_are_not_used(wrong: str) -> None:
    gated_module.check(by_formulas(), torch.device("cpu"))
    with pytest.raises(ArithmeticError):
        gated_module.check(by_formulas(wrong=wrong), torch.device("cpu"))


def test_kernels_compile_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = dict.fromkeys(("gate_up", "product", "gradient", "of_both"), "*bf16") | {"inner": "i32"}
    for kernel in (gated_kernels.gate, gated_kernels.gate_backward):
        assert machine_code(kernel, types, {"block": 512})


def test_the_cpu_has_no_kernels() -> None:
    assert kernels_on(torch.device("cpu")) is None
