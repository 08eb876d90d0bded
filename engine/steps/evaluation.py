"""What the models and the objective say about z."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from engine.steps.record import Measured
from engine.steps.state import RunState


@dataclass(frozen=True)
class Evaluation:
    """What the models and the objective say about z."""

    z: Tensor
    """Effective z. # (N, D)"""

    predictions: Tensor
    """Predicted embedding in the place of each target sentence. # (N, M, D)"""

    similarity: Tensor
    """Cosine of prediction and encode(target), the mean over target sentences. # (N,)"""

    terms: Tensor
    """Each loss term that some run has. # (N, K)"""

    loss: Tensor
    """Sum of the terms, weighted. # (N,)"""

    token_losses: Tensor | None
    """Cross-entropy of each token of the target sentences, 0 in padding; None when no term needs them.
    # (N, M, T)"""

    def detached(self) -> Self:
        """The same numbers without the way back to z."""
        token_losses = None if self.token_losses is None else self.token_losses.detach()
        return type(self)(
            z=self.z.detach(),
            predictions=self.predictions.detach(),
            similarity=self.similarity.detach(),
            terms=self.terms.detach(),
            loss=self.loss.detach(),
            token_losses=token_losses,
        )

    def measured(self, state: RunState, *, lr: Tensor, grad_norm: Tensor) -> Measured:
        """What the rows need, for the one transfer of a step.

        Args:
            state: before the update.
            lr: with which the update is made. # (N, 1)
            grad_norm: (N, 1)
        """
        return Measured.of(
            {
                "lr": lr,
                "loss": self.loss.unsqueeze(-1),
                "terms": self.terms,
                "similarity": self.similarity.unsqueeze(-1),
                "grad_norm": grad_norm,
                "z_norm": self.z.norm(dim=-1, keepdim=True),
                "z": self.z,
                "prediction": self.predictions[:, 0],
                "raw_z": state.z,
                "token_losses": self.token_losses,
                **state.slots,
            }
        )
