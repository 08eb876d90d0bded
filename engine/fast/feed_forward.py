"""A transformer's feed-forward network, the weights frozen."""

from collections.abc import Callable
from typing import Any

import torch
from fairseq2.models.transformer import StandardFeedForwardNetwork
from torch import Tensor, nn
from torch.nn import functional as F


class _LinearReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        active = torch._addmm_activation(bias, hidden, weight.T)  # on a card one kernel
        ctx.save_for_backward(active, weight)
        return active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        active, weight = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.threshold_backward(gradients[0], active, 0)
        return passed @ weight, None, None


def linear_relu(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return max(0, W h + b), differentiable in the hidden states alone, once.

    Args:
        hidden: (…, D)
        weight: (F, D)
        bias: (F,)

    Returns:
        (…, F)
    """
    if torch.compiler.is_compiling():
        return F.linear(hidden, weight, bias).relu()
    active: Tensor = _LinearReLU.apply(  # type: ignore[no-untyped-call]
        hidden.flatten(0, -2), weight, bias
    )
    return active.view(*hidden.shape[:-1], len(weight))


def feed_forward(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """What a feed-forward network computes, of the weights that it has now. # (…, D) to (…, D)"""
    if not isinstance(module, StandardFeedForwardNetwork) or not isinstance(module.inner_activation, nn.ReLU):
        return module
    inner, output = module.inner_proj, module.output_proj
    if inner.bias is None or output.bias is None:
        return module
    weights = [parameter.data for parameter in (inner.weight, inner.bias, output.weight, output.bias)]

    def network(hidden: Tensor) -> Tensor:
        return F.linear(linear_relu(hidden, weights[0], weights[1]), weights[2], weights[3])

    return network
