"""Step: one row of a trajectory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Sentence:
    """What is predicted in the place of one target sentence of several."""

    text: str
    ce: float
    """Cross-entropy of the target sentence, in nats a token."""
    match: bool


@dataclass(frozen=True, eq=False)
class Step:
    """Row k: one z, what the models make of it, and the update that is made from it."""

    step: int
    """k: z has had k updates."""

    loss: float
    """Weighted sum of the terms."""

    terms: dict[str, float]
    """Each loss term with a weight, by its name and without that weight."""

    weights: dict[str, float]
    """Weight of each term in this row."""

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
    """Predicted embedding, of the first target sentence where there are several. # (D,)"""

    decoded_z: str | None
    """z as text: decode(z), or in a population search the text that z is the embedding of; None in a step
    that is not decoded."""

    decoded_prediction: str | None
    """The prediction as text, all its sentences; None in a step that is not decoded."""

    match: bool | None
    """Whether the decoded prediction is the target, in every sentence; None in a step that is not decoded."""

    sentences: tuple[Sentence, ...]
    """What is predicted in the place of each target sentence, in a decoded step of a run that has several."""

    measures: Mapping[str, float]
    """What is measured of a decoded step, by the names of engine.measures.MEASURES."""

    reread_prediction: str | None
    """What the model predicts from encode(decode(z)), as text; None where that is not asked."""

    token_losses: tuple[float, ...] | None
    """Cross-entropy of each token of the target, as `engine.tokens.target_pieces` names them, in nats; their
    mean is the term `ce`. Those of several target sentences stand one after the other. None in a step that
    neither has that term nor is decoded."""

    state_hash: str
    """16 hexadecimal characters of the SHA-256 of raw z, what the optimiser keeps (Adam's moments) and count,
    all before update k."""

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
