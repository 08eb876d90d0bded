"""How sure the decoder is of what z itself says: pulls z to where a text can be read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective.forward import Forward
from engine.objective.term import Term

if TYPE_CHECKING:
    from torch import Tensor


def fluency(forward: Forward) -> Tensor:
    """Mean cross-entropy, given z, of the tokens of the text that z was last read as, nats a token. # (N,)"""
    losses, mask = forward.own_token_losses()
    return losses.sum(dim=-1) / mask.sum(dim=-1)


TERM = Term(
    "fluency",
    "fluency",
    "decoder cross-entropy of z for its own text, nats a token",
    "z",
    fluency,
    needs=frozenset({"own text"}),
)
