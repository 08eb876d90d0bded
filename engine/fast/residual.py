"""What is added to a transformer's hidden states, and the norm of the sum that the next block begins with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from fairseq2.nn import StandardLayerNorm
from torch import Tensor, nn
from torch.nn import functional as F

from engine.fast.compiled import check_alike, compiled, drawn


@dataclass(frozen=True)
class Norm:
    """Weights of a layer norm (Ba et al. 2016), or of RMSNorm (Zhang & Sennrich 2019): it has no bias."""

    weight: Tensor
    """(D,)"""

    bias: Tensor | None
    """None: RMSNorm, which does not subtract the mean either. # (D,)"""

    epsilon: float

    def __call__(self, hidden: Tensor) -> Tensor:
        """(…, D) to (…, D)"""
        if self.bias is None:
            return F.rms_norm(hidden, self.weight.shape, self.weight, self.epsilon)
        return F.layer_norm(hidden, self.weight.shape, self.weight, self.bias, self.epsilon)


def norm_of(module: nn.Module | None) -> Norm:
    """The weights of a module as they lie.

    Raises:
        TypeError: it is not the layer norm that sonar-space's factory makes.
    """
    if isinstance(module, StandardLayerNorm) and not module.cast_fp32:
        weight, bias = module.weight, module.bias
        if weight is not None and bias is not None and weight.dim() == 1:
            return Norm(weight.data, bias.data, module.eps)
    raise TypeError(f"a layer norm with weights and biases is needed; this is {module}")


@dataclass(frozen=True)
class Kernels:
    """One pass over the hidden states on the way forth, and one on the way back."""

    forward: Callable[[Tensor, Tensor | None, Tensor | None, Norm], tuple[Tensor, Tensor, Tensor]]
    """Of `add_and_norm`'s arguments: its results, and what the way back needs of each row."""

    backward: Callable[[Tensor, Tensor, Norm, Tensor, Tensor | None], Tensor]
    """Of the sum, of what the way back needs of each row, of the norm, and of the gradients of the norm and,
    where there is one, of the sum: the gradient of what was added."""

    over_positions: Callable[[Tensor], Tensor]
    """Of a gradient (N, T, D): its sum, for a context is the same at every position. # (N, 1, D)"""


def add_and_norm(
    hidden: Tensor, added: Tensor | None, context: Tensor | None, norm: Norm
) -> tuple[Tensor, Tensor]:
    """Return h + a + c, and its norm: differentiable in all three, once.

    Args:
        hidden: (N, T, D)
        added: (N, T, D)
        context: the same at every position. # (N, 1, D)
        norm: of D.

    Returns:
        (N, T, D), (N, T, D)
    """
    kernels = None if torch.compiler.is_compiling() else kernels_on(hidden.device)
    if kernels is None:
        return by_torch(hidden, added, context, norm)
    total, normed = _AddAndNorm.apply(  # type: ignore[no-untyped-call]
        hidden, added, context, norm, kernels
    )
    return total, normed


def by_torch(
    hidden: Tensor, added: Tensor | None, context: Tensor | None, norm: Norm
) -> tuple[Tensor, Tensor]:
    """The same, one operation after the other."""
    for more in (added, context):
        if more is not None:
            hidden = hidden + more
    return hidden, norm(hidden)


class _AddAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        added: Tensor | None,
        context: Tensor | None,
        norm: Norm,
        kernels: Kernels,
    ) -> tuple[Tensor, Tensor]:
        total, normed, rows = kernels.forward(hidden, added, context, norm)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(total, rows)
        ctx.norm, ctx.kernels = norm, kernels
        return total, normed

    @staticmethod
    def backward(
        ctx: Any, *gradients: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        of_total, of_normed = (None if each is None else each.contiguous() for each in gradients)
        gradient = of_total
        if of_normed is not None:
            total, rows = ctx.saved_tensors
            gradient = ctx.kernels.backward(total, rows, ctx.norm, of_normed, of_total)
        needs_hidden, needs_added, needs_context, *_ = ctx.needs_input_grad
        of_context = ctx.kernels.over_positions(gradient) if needs_context and gradient is not None else None
        return gradient if needs_hidden else None, gradient if needs_added else None, of_context, None, None


@cache
def kernels_on(device: torch.device) -> Kernels | None:
    """Kernels for the sum and its norm; None where there are none."""

    def load() -> Kernels:
        from engine.fast.residual_kernels import backward, forward, over_positions

        return Kernels(forward, backward, over_positions)

    return compiled("layer norm", device, load, lambda kernels: check(kernels, device))


def check(kernels: Kernels, device: torch.device) -> None:
    """Compare with torch's own, on a few hidden states.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    whole = drawn(5, 2, 3, 384, device=device)
    for dtype, tolerance, is_centred in (
        (torch.float32, 1e-4, True),
        (torch.bfloat16, 5e-2, True),
        (torch.float32, 1e-4, False),
        (torch.bfloat16, 5e-2, False),
    ):
        hidden, added, *gradients, other = whole.to(dtype).unbind()
        context = hidden[:, :1].cos().contiguous()
        norm = Norm(other[0, 0].exp(), other[0, 1].clone() if is_centred else None, 1e-5)
        with torch.inference_mode(mode=False), torch.enable_grad():  # type: ignore[no-untyped-call]
            where = hidden.clone().requires_grad_()
            expected = by_torch(where, added.clone(), context.clone(), norm)
            (of_expected,) = torch.autograd.grad(expected, where, [each.clone() for each in gradients])
        total, normed, rows = kernels.forward(hidden, added, context, norm)
        check_alike(total, expected[0].detach(), tolerance)
        check_alike(normed, expected[1].detach(), tolerance)
        check_alike(kernels.backward(total, rows, norm, gradients[1], gradients[0]), of_expected, tolerance)
        check_alike(kernels.over_positions(hidden), hidden.sum(dim=1, keepdim=True), tolerance)
