"""Cross-entropy of logits, and its derivative: on a card in two passes over them, elsewhere by formulas."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from engine.fast.compiled import check_alike, compiled, drawn

LossesAndErrors = Callable[[Tensor, Tensor, int, torch.dtype | None], tuple[Tensor, Tensor | None]]

PRECISIONS = (torch.float32, torch.bfloat16)
"""Of logits that the kernels take."""


def losses_and_errors(
    logits: Tensor, tokens: Tensor, vocabulary: int, errors_dtype: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """−log softmax(logits)[token] in nats, and its derivative by the logits: softmax − one-hot.

    Args:
        logits: those from V on are of no token; overwritten. # (K, V'), V' ≥ V
        tokens: (K,)
        vocabulary: V
        errors_dtype: precision of the derivative; None: it is not needed.

    Returns:
        Losses (K,), in float32 or the logits' precision if that is higher, and the derivative (K, V'), 0 from
        V on, or None.
    """
    kernels = kernels_on(logits.device) if logits.dtype in PRECISIONS else None
    return (kernels or by_formulas)(logits, tokens, vocabulary, errors_dtype)


def by_formulas(
    logits: Tensor, tokens: Tensor, vocabulary: int, errors_dtype: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """The same, one operation after the other."""
    logits[:, vocabulary:] = -torch.inf
    wide = torch.promote_types(logits.dtype, torch.float32)
    log_probabilities = logits.log_softmax(dim=-1, dtype=wide)
    places = tokens.unsqueeze(-1)  # (K, 1)
    losses = log_probabilities.gather(-1, places).squeeze(-1).neg()
    if errors_dtype is None:
        return losses, None
    errors = log_probabilities.exp_()
    errors.scatter_add_(-1, places, errors.new_full(places.shape, -1.0))
    return losses, errors.to(errors_dtype)


@cache
def kernels_on(device: torch.device) -> LossesAndErrors | None:
    """The same by kernels; None where there are none."""

    def load() -> LossesAndErrors:
        from engine.fast.softmax_kernels import by_kernels

        return by_kernels

    return compiled("softmax", device, load, lambda kernels: check(kernels, device))


def check(kernels: LossesAndErrors, device: torch.device) -> None:
    """Compare with the formulas, on a few logits.

    Raises:
        ArithmeticError: the kernels are wrong.
    """
    logits = drawn(3, 20_032, device=device) * 5
    tokens = torch.tensor([0, 20_000, 777], device=device)
    for dtype, errors_dtype, tolerance in (
        (torch.float32, torch.float32, 1e-5),
        (torch.float32, torch.bfloat16, 1e-2),
        (torch.bfloat16, None, 1e-5),
    ):
        expected, found = (
            function(logits.to(dtype, copy=True), tokens, 20_001, errors_dtype)
            for function in (by_formulas, kernels)
        )
        for one, other in zip(found, expected, strict=True):
            if one is not None and other is not None:
                check_alike(one, other, tolerance)
