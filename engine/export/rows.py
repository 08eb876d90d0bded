"""Rows and runs as plain values: what every format, and every line that a script reads, is made of."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping

from engine.objective import TERMS
from engine.store.records import RunRecord, StepRecord


def step_object(step: StepRecord) -> dict[str, object]:
    """A row of a trajectory as the command line's contract names it; what does not apply is None.

    `ce`, `cosine` and `mse` are the values of the loss terms before their weights, and None for a term that
    was not part of the loss. The term `cosine` is minus the similarity: a loss falls as it gets better.
    """
    return {
        "type": "step",
        "run": step.run,
        "step": step.step,
        "loss": finite(step.loss),
        **{name: finite(step.terms.get(name)) for name in TERMS},
        "similarity": finite(step.similarity),
        "lr": finite(step.lr),
        "grad_norm": finite(step.grad_norm),
        "z_norm": finite(step.z_norm),
        "decoded_z": step.decoded_z,
        "decoded_prediction": step.decoded_prediction,
        "match": step.match,
        "elapsed_ms": finite(step.elapsed_ms),
    }


def summary_object(run: RunRecord) -> dict[str, object]:
    """What became of a run, as the command line's contract names it.

    `steps` are the updates asked for; loss and similarity are those of the newest row, `match` and
    `decoded_prediction` those of the newest decoded row.
    """
    return {
        "type": "summary",
        "run": run.id,
        "session": run.session,
        "status": str(run.status),
        "steps": run.steps,
        "loss": finite(run.loss),
        "similarity": finite(run.similarity),
        "match": run.match,
        "first_match_step": run.first_match_step,
        "decoded_prediction": run.decoded_prediction,
    }


def json_line(values: Mapping[str, object]) -> str:
    """One line of JSON in plain ASCII: no control character of a decoded text survives in it."""
    return json.dumps(values, ensure_ascii=True, allow_nan=False)


def short_number(value: float | None) -> str:
    """Three decimals as in the published tables; more where three would show nothing but zeros."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.2e}"


def is_decoded(step: StepRecord) -> bool:
    """Whether a row holds decoded texts."""
    return step.decoded_z is not None or step.decoded_prediction is not None


def shown_steps(steps: Iterable[StepRecord]) -> Iterator[StepRecord]:
    """The rows that a table shows: every decoded one, and the last one as well."""
    newest = None
    for step in steps:
        newest = step
        if is_decoded(step):
            yield step
    if newest is not None and not is_decoded(newest):
        yield newest


def finite(value: float | None) -> float | None:
    """The value, or None where it is not finite: JSON has no NaN."""
    return value if value is not None and math.isfinite(value) else None
