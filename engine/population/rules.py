"""What a population search cannot have of what a spec may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.objective import CONSTRAINTS, TERMS
from engine.population.options import NAME

if TYPE_CHECKING:
    from engine.spec import RunSpec


def misfit(spec: RunSpec) -> str | None:
    """Why a spec asks for something that its method cannot do, in one line; None: it does not.

    Options of another method have no effect, like those of a term without a weight.
    """
    if spec.method != NAME:
        return None
    this = f"a {NAME} search"
    for name in spec.terms:
        if TERMS[name].needs & {"own text", "anchors"}:
            weight = spec.weights.get(name, 0.0)
            return f"weights: {name}={weight:g}: not in {this}, where z is the embedding of its text anyway"
    for name, value in spec.options.items():
        if name.partition(".")[0] in CONSTRAINTS:
            return f"options: {name}={value}: not in {this}; `objectives` lists the options that it has"
    if spec.optimizer != "adam":
        return f"optimizer: {spec.optimizer}: {this} has adam"
    if spec.clip is not None:
        return f"clip: {spec.clip:g}: not in {this}"
    if spec.norm != "initial":
        return f"norm: {spec.norm}: {this} leaves each candidate the norm that it has: initial"
    if spec.schedules.get("lr", "").startswith("plateau"):
        return f"schedules: lr={spec.schedules['lr']}: not in {this}"
    if spec.option(f"{NAME}.seeds") == "sentences" and not spec.option(f"{NAME}.sentences"):
        return f"options: {NAME}.seeds=sentences: none are given as {NAME}.sentences"
    return None
