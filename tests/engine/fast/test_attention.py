"""Causal attention out of one projection, and its gradient: against float64 written out here."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from engine.fast import attention, attention_kernels
from engine.fast.attention import Kernels, by_torch, causal_attention, kernels_on
from tests.engine.fast.compiling import machine_code
from tests.engine.fast.interpreted import interpreted

SIZES = {
    "published": (1, 17, 2, 64),
    "one position": (3, 1, 3, 16),
    "a whole tile": (2, 32, 1, 32),
    "long": (2, 40, 2, 32),
}
"""N, T, heads, head_dim"""

PRECISIONS = {"float32": (torch.float32, 2e-6), "float16": (torch.float16, 4e-3)}
"""And what they may be off by. The interpreter cannot multiply bfloat16; the kernels know no difference."""


def joint_and_gradient(size: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    texts, positions, heads, head_dim = SIZES[size]
    random = torch.Generator().manual_seed(positions)
    joint = torch.randn(texts, positions, 3 * heads * head_dim, generator=random)
    gradient = torch.randn(texts, positions, heads * head_dim, generator=random)
    return joint.to(dtype), gradient.to(dtype)


@torch.enable_grad()  # type: ignore[no-untyped-call]
def expected(joint: Tensor, gradient: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Head by head, and position by position."""
    where = joint.double().requires_grad_()
    query, key, value = (part.view(*part.shape[:2], heads, -1) for part in where.chunk(3, dim=-1))
    attended = torch.zeros_like(query)
    for position in range(joint.shape[1]):
        seen = slice(0, position + 1)
        scores = torch.einsum("nhd,nthd->nth", query[:, position], key[:, seen]) / query.shape[-1] ** 0.5
        attended[:, position] = torch.einsum("nth,nthd->nhd", scores.softmax(dim=1), value[:, seen])
    whole = attended.flatten(2)
    (of_joint,) = torch.autograd.grad(whole, where, gradient.double())
    return whole.detach(), of_joint


def assert_near(found: Tensor, right: Tensor, tolerance: float) -> None:
    assert (found.double() - right).abs().max().item() <= tolerance * right.abs().max().item()


@pytest.mark.parametrize("size", SIZES)
def test_by_torch(size: str) -> None:
    joint, gradient = joint_and_gradient(size, torch.float32)
    where = joint.clone().requires_grad_()
    attended = causal_attention(where, SIZES[size][2])
    (of_joint,) = torch.autograd.grad(attended, where, gradient)
    for found, right in zip((attended, of_joint), expected(joint, gradient, SIZES[size][2]), strict=True):
        assert_near(found.detach(), right, 2e-6)


def test_kernels(tmp_path: Path) -> None:
    inputs = {
        f"{size} {precision}": (*joint_and_gradient(size, dtype), SIZES[size][2])
        for size in SIZES
        for precision, (dtype, _) in PRECISIONS.items()
    }
    outputs = interpreted("interpreted_attention", inputs, tmp_path)
    for name, (joint, gradient, heads) in inputs.items():
        _, tolerance = PRECISIONS[name.split()[-1]]
        for found, right in zip(outputs[name], expected(joint, gradient, heads), strict=True):
            assert found.dtype == joint.dtype
            assert_near(found, right, tolerance)


def test_they_are_one_function_of_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    """With kernels the gradient is what the second of them says, given a contiguous one."""
    joint, gradient = joint_and_gradient("published", torch.float32)
    kernels = Kernels(
        forward=lambda joint, heads: by_torch(joint, heads),
        backward=lambda joint, gradient, heads: expected(joint, gradient, heads)[1].to(joint.dtype),
        are_for=attention_kernels.are_for,
    )
    monkeypatch.setattr(attention, "kernels_on", lambda device: kernels)
    where = joint.clone().requires_grad_()
    attended = causal_attention(where, 2)
    (of_joint,) = torch.autograd.grad(attended, where, gradient.mT.contiguous().mT)
    assert attended.grad_fn is not None
    assert "CausalAttention" in attended.grad_fn.name()
    for found, right in zip((attended, of_joint), expected(joint, gradient, 2), strict=True):
        assert_near(found.detach(), right, 1e-6)
    attention.check(kernels, torch.device("cpu"))


@pytest.mark.parametrize(
    ("positions", "head_dim", "dtype", "is_taken"),
    [
        (32, 64, torch.float32, True),
        (33, 64, torch.float32, False),
        (64, 64, torch.bfloat16, True),
        (65, 64, torch.bfloat16, False),
        (17, 8, torch.bfloat16, False),
        (17, 48, torch.bfloat16, False),
        (17, 64, torch.float64, False),
    ],
)
def test_what_the_kernels_have_room_for(
    positions: int, head_dim: int, dtype: torch.dtype, is_taken: bool
) -> None:
    joint = torch.empty(1, positions, 3 * 2 * head_dim, dtype=dtype)
    assert attention_kernels.are_for(joint, 2) == is_taken


@pytest.mark.parametrize(
    ("capability", "dtype", "is_taken"),
    [
        ((7, 5), torch.bfloat16, False),
        ((7, 5), torch.float32, True),
        ((8, 0), torch.bfloat16, True),
        ((9, 0), torch.bfloat16, True),
    ],
)
def test_bfloat16_is_for_tensor_cores_that_take_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype, is_taken: bool
) -> None:
    card = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    joint = SimpleNamespace(shape=(2, 17, 3 * 2 * 64), dtype=dtype, device=card)
    attention_kernels._multiplies.cache_clear()
    try:
        assert attention_kernels.are_for(cast(Tensor, joint), 2) == is_taken
    finally:
        attention_kernels._multiplies.cache_clear()


def test_what_the_kernels_are_not_for_is_no_reason_to_do_without_them() -> None:
    """A card without bfloat16 has its float32."""

    def forward(joint: Tensor, heads: int) -> Tensor:
        assert joint.dtype == torch.float32
        return by_torch(joint, heads)

    def backward(joint: Tensor, gradient: Tensor, heads: int) -> Tensor:
        assert joint.dtype == torch.float32
        return expected(joint, gradient, heads)[1].to(joint.dtype)

    kernels = Kernels(forward, backward, lambda joint, heads: joint.dtype == torch.float32)
    attention.check(kernels, torch.device("cpu"))


def test_kernels_compile_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    sizes, constants = {"positions": "i32", "dim": "i32"}, {"tile": 32, "head_dim": 64}
    for width, kernel in (("bf16", attention_kernels.attend), ("fp32", attention_kernels.attend_backward)):
        tensors = dict.fromkeys(("joint", "attended", "gradient", "of_joint"), f"*{width}")
        assert machine_code(kernel, tensors | sizes, constants)


@pytest.mark.parametrize("wrong", ["forward", "backward"])
def test_kernels_that_are_wrong_are_not_used(wrong: str) -> None:
    def forward(joint: Tensor, heads: int) -> Tensor:
        return by_torch(joint, heads) + (wrong == "forward")

    def backward(joint: Tensor, gradient: Tensor, heads: int) -> Tensor:
        return expected(joint, gradient, heads)[1].to(joint.dtype) + (wrong == "backward")

    with pytest.raises(ArithmeticError):
        attention.check(Kernels(forward, backward, attention_kernels.are_for), torch.device("cpu"))


def test_the_cpu_has_no_kernels() -> None:
    assert kernels_on(torch.device("cpu")) is None
