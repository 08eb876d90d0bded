"""Step: one row of a trajectory."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Step:
    """Row k: one z, what the models make of it, and the update that is made from it."""

    step: int
    """k: z has had k updates."""

    loss: float
    """Weighted sum of the terms."""

    terms: dict[str, float]
    """Each loss term with a weight, by its name and without that weight."""

    similarity: float
    """Cosine of the prediction and encode(target), whatever the loss is."""

    grad_norm: float
    """L2 norm of the loss's gradient with respect to raw z."""

    z_norm: float
    """L2 norm of the effective z."""

    lr: float | None
    """Learning rate of update k; None where none is made: in the last row, and where there is a problem."""

    elapsed_ms: float
    """Milliseconds for evaluation and update of the whole batch, decoding left out."""

    z: Vector
    """Effective z: what enters the generator. # (D,)"""

    prediction: Vector
    """Predicted embedding. # (D,)"""

    decoded_z: str | None
    """z as text; None in a step that is not decoded."""

    decoded_prediction: str | None
    """The prediction as text; None in a step that is not decoded."""

    match: bool | None
    """Whether the decoded prediction is the target; None in a step that is not decoded."""

    token_losses: tuple[float, ...] | None
    """Cross-entropy of each token of the target, as `engine.tokens.target_pieces` names them, in nats; their
    mean is the term `ce`. None in a step that neither has that term nor is decoded."""

    state_hash: str
    """16 hexadecimal characters of the SHA-256 of raw z, Adam's moments and count, all before update k."""

    run: int = 0
    """Index of the run in its batch."""

    @property
    def problem(self) -> str | None:
        """Why the run cannot go on from here, in one line; None when it can."""
        if math.isfinite(self.loss) and math.isfinite(self.grad_norm):
            return None
        return (
            f"step {self.step}: the loss is {self.loss:g} and its gradient's norm {self.grad_norm:g}; "
            "both must be finite: start again with a lower lr"
        )
