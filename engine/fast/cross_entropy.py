"""Cross-entropy of tokens straight from hidden states: the logits live only inside."""

from typing import Any

import torch
from torch import Tensor

from engine.fast.products import linear, product_with_transpose
from engine.fast.softmax import losses_and_errors

LOGITS_AT_ONCE = 2**27
"""So many there are at a time, at most, where the loss is not differentiated: half a gigabyte in float32."""


class _ProjectedCrossEntropy(torch.autograd.Function):
    """The gradient with respect to the hidden states is made together with the loss.

    The loss of a token is one number, so its gradient is one vector, times whatever comes back: neither the
    logits nor their softmax, by far the largest tensors of a step, are kept for the way back.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, tokens: Tensor, vocabulary: int) -> Tensor:
        logits = _product(hidden, weight)  # (K, V')
        errors_dtype = weight.dtype if ctx.needs_input_grad[0] else None
        losses, errors = losses_and_errors(logits, tokens, vocabulary, errors_dtype)
        if errors is not None:
            ctx.save_for_backward(product_with_transpose(errors, weight))  # (K, D)
        return losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (per_loss,) = ctx.saved_tensors
        return (gradients[0].unsqueeze(-1) * per_loss).to(per_loss.dtype), None, None, None


def _product(hidden: Tensor, weight: Tensor) -> Tensor:
    """Logits in float32 at least: a card need not round them to bfloat16 on the way. # (K, V')"""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    if hidden.is_cuda and hidden.dtype != wide:
        return torch.mm(hidden, weight.T, out_dtype=wide)
    return linear(hidden, weight).to(wide)


def projected_cross_entropy(hidden: Tensor, weight: Tensor, tokens: Tensor, *, vocabulary: int) -> Tensor:
    """−log softmax(W h)[token] in nats, differentiable in the hidden states alone, once.

    Args:
        hidden: (K, D)
        weight: its rows from V on, if there are any, are zeros. # (V', D)
        tokens: (K,)
        vocabulary: V

    Returns:
        (K,), in float32 or the precision of the hidden states if that is higher.
    """
    at_once = len(hidden) if _is_differentiated(hidden) else max(1, LOGITS_AT_ONCE // len(weight))
    losses: list[Tensor] = [
        _ProjectedCrossEntropy.apply(some, weight, of_some, vocabulary)  # type: ignore[no-untyped-call]
        for some, of_some in zip(torch.split(hidden, at_once), torch.split(tokens, at_once), strict=True)
    ]
    return losses[0] if len(losses) == 1 else torch.cat(losses)


def _is_differentiated(hidden: Tensor) -> bool:
    return torch.is_grad_enabled() and hidden.requires_grad
