"""Cross-entropy of tokens straight from hidden states: the logits live only inside."""

from typing import Any

import torch
from torch import Tensor


class _ProjectedCrossEntropy(torch.autograd.Function):
    """The gradient with respect to the hidden states is made together with the loss.

    The loss of a token is one number, so its gradient is one vector, times whatever comes back: neither the
    logits nor their softmax, by far the largest tensors of a step, are kept for the way back.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, tokens: Tensor) -> Tensor:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        log_probabilities = _product(hidden, weight, wide).log_softmax(dim=-1)  # (K, V)
        places = tokens.unsqueeze(-1)  # (K, 1)
        losses = log_probabilities.gather(-1, places).squeeze(-1).neg()  # (K,)
        if ctx.needs_input_grad[0]:
            # softmax − one-hot: the derivative of the loss by the logits, in their own place.
            errors = log_probabilities.exp_()
            errors.scatter_add_(-1, places, errors.new_full(places.shape, -1.0))
            ctx.save_for_backward(errors.to(weight.dtype) @ weight)  # (K, D)
        return losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (per_loss,) = ctx.saved_tensors
        return (gradients[0].unsqueeze(-1) * per_loss).to(per_loss.dtype), None, None


def _product(hidden: Tensor, weight: Tensor, wide: torch.dtype) -> Tensor:
    """Logits in the wider precision: a card need not round them to bfloat16 on the way. # (K, V)"""
    if hidden.is_cuda and hidden.dtype != wide:
        return torch.mm(hidden, weight.T, out_dtype=wide)
    return (hidden @ weight.T).to(wide)


def projected_cross_entropy(hidden: Tensor, weight: Tensor, tokens: Tensor) -> Tensor:
    """−log softmax(W h)[token] in nats, differentiable in the hidden states alone, once.

    Args:
        hidden: (K, D)
        weight: (V, D)
        tokens: (K,)

    Returns:
        (K,), in float32 or the precision of the hidden states if that is higher.
    """
    losses: Tensor = _ProjectedCrossEntropy.apply(hidden, weight, tokens)  # type: ignore[no-untyped-call]
    return losses
