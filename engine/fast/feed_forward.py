"""A transformer's feed-forward network, the weights frozen."""

from collections.abc import Callable

from fairseq2.models.transformer import StandardFeedForwardNetwork
from torch import Tensor, nn

from engine.fast.products import linear, linear_relu


def feed_forward(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """What a feed-forward network computes, of the weights that it has now. # (…, D) to (…, D)"""
    if not isinstance(module, StandardFeedForwardNetwork) or not isinstance(module.inner_activation, nn.ReLU):
        return module
    inner, output = module.inner_proj, module.output_proj
    if inner.bias is None or output.bias is None:
        return module
    weights = [parameter.data for parameter in (inner.weight, inner.bias, output.weight, output.bias)]

    def network(hidden: Tensor) -> Tensor:
        return linear(linear_relu(hidden, weights[0], weights[1]), weights[2], weights[3])

    return network
