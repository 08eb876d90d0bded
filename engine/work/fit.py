"""Which runs can be stepped together: those whose step is the same but for numbers of their own."""

from collections.abc import Hashable

from engine.objective import CONSTRAINTS, TERMS
from engine.optimizers import OPTIMIZERS
from engine.population.options import NAME as POPULATION
from engine.spec import RunSpec

OWN = {
    *("init", "target", "continuation", "before", "context", "source_lang", "target_lang"),
    *("weights", "schedules", "options", "lr", "steps", "clip", "norm", "seed", "device"),
    *("decode_every", "read_every", "beam", "max_decoded_tokens", "measures", "vectors"),
}
"""Fields of a spec that may differ between runs that are stepped together, or of which only a part may not:
terms, their options, and the number of sentences. Where the models are is seen from the models."""


def fit_of(spec: RunSpec) -> Hashable | None:
    """Equal for runs that can be stepped together; None for one that is stepped alone.

    Alone goes a population search, whatever has the others wait for texts (a term that reads what z says,
    projections of z), and copies of z, which are a batch of their own.
    """
    if spec.method == POPULATION or _is_more_than_a_step(spec):
        return None
    shared = spec.model_dump(exclude=OWN)
    options = {
        name: value for name, value in spec.options.items() if name.partition(".")[0] not in OPTIMIZERS
    }
    text = len(spec.before), len(spec.context), len(spec.continuation)
    return spec.terms, text, tuple(sorted(options.items())), tuple(sorted(shared.items()))


def _is_more_than_a_step(spec: RunSpec) -> bool:
    reads = any(TERMS[name].needs & {"own text", "anchors"} for name in spec.terms)
    switches = [
        f"{constraint.name}.{switch}"
        for constraint in CONSTRAINTS.values()
        for switch in (
            constraint.move.every if constraint.move else None,
            constraint.scatter.copies if constraint.scatter else None,
        )
        if switch is not None
    ]
    return reads or any(spec.number(switch) for switch in switches)
