"""A feed-forward network's values and gradient: those of its own module."""

import pytest
import torch
from fairseq2.models.transformer import StandardFeedForwardNetwork
from torch import nn

from engine.fast.feed_forward import feed_forward


def network(*, bias: bool = True, activation: nn.Module | None = None) -> StandardFeedForwardNetwork:
    torch.manual_seed(0)
    return StandardFeedForwardNetwork(16, 40, bias, inner_activation=activation).requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 1, 16), (2, 3, 16), (5, 16)])
@pytest.mark.parametrize(
    "module",
    [network(), network(bias=False), network(activation=nn.GELU())],
    ids=["published", "no biases", "another activation"],
)
def test_values_and_gradients(module: StandardFeedForwardNetwork, shape: tuple[int, ...]) -> None:
    hidden = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    results = []
    for function in (feed_forward(module), module):
        value = function(hidden)
        (gradient,) = torch.autograd.grad(value, hidden, direction)
        results.append((value.detach(), gradient))
    torch.testing.assert_close(*results)


def test_it_is_one_product_with_the_activation_in_it() -> None:
    hidden = torch.randn(2, 3, 16, requires_grad=True)
    names: list[str] = []

    class Noting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            names.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    with Noting():  # type: ignore[no-untyped-call]
        feed_forward(network())(hidden)
    assert "_addmm_activation" in names
    assert "relu" not in names
