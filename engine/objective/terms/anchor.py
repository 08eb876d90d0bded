"""Distance of z to the nearest of some embeddings of real texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.objective.forward import Forward
from engine.objective.option import choice, texts
from engine.objective.term import Term

if TYPE_CHECKING:
    from torch import Tensor


def nearest_anchor(forward: Forward) -> Tensor:
    """‖z − a‖² / ‖a‖² for the anchor a where that is least: 0 on an anchor, 2 at a right angle. # (N,)"""
    if forward.anchors is None:
        raise ValueError("the anchors are missing")
    anchors, is_anchor = forward.anchors
    distances = (forward.z.unsqueeze(1) - anchors).square().sum(dim=-1)  # (N, A)
    relative = distances / anchors.square().sum(dim=-1).clamp_min(1e-12)
    return relative.masked_fill(~is_anchor, math.inf).amin(dim=-1)


TERM = Term(
    "anchor",
    "anchor",
    "squared distance of z to the nearest anchor, over that one's squared norm",
    "z",
    nearest_anchor,
    needs=frozenset({"anchors"}),
    options=(
        choice(
            "to",
            "round-trip",
            "what z stays near to: encode(decode(z)), the initial z, given sentences, or the nearest of all",
            among=("round-trip", "init", "sentences", "all"),
        ),
        texts("sentences", "sentences whose embeddings are anchors"),
    ),
)
