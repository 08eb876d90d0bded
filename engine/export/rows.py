"""Rows and runs as plain values: what every format, and every line that a script reads, is made of."""

import json
import math
from collections.abc import Iterable, Iterator

from engine.measures import MEASURES
from engine.objective import TERMS
from engine.store.reading import Reader
from engine.store.records import Aside, RunRecord, StepRecord

NO_ASIDE = Aside()
"""Of a row that was not decoded, or by an older version of the program."""


def step_object(step: StepRecord, aside: Aside = NO_ASIDE) -> dict[str, object]:
    """A row of a trajectory as the command line's contract names it; what does not apply is None.

    The loss terms, each by its name, are their values before their weights, and None for a term that was not
    part of the loss. The term `cosine` is minus the similarity: a loss falls as it gets better.

    `measures` has every name of `engine.measures.MEASURES`; it is None where nothing was measured.
    `sentences` holds `{"text", "ce", "match"}` for each target sentence of a run that has several.
    """
    sentences = [{**each._asdict(), "ce": finite(each.ce)} for each in aside.sentences]
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
        "measures": {name: finite(step.measures.get(name)) for name in MEASURES} if step.measures else None,
        "sentences": sentences or None,
        "reread_prediction": aside.reread_prediction,
    }


def whole_rows(reader: Reader, run_id: int) -> Iterator[tuple[StepRecord, Aside]]:
    """The whole trajectory with all that its rows say, read in bounded chunks."""
    after = -1
    while chunk := reader.steps(run_id, after=after):
        after = chunk[-1].step
        asides = reader.asides(run_id, chunk[0].step, after)
        yield from ((step, asides.get(step.step, NO_ASIDE)) for step in chunk)


def step_line(reader: Reader, step: StepRecord) -> str:
    """A row as one line of JSON, with what else is stored of it."""
    asides = reader.asides(step.run, step.step, step.step) if is_decoded(step) else {}
    return json_line(step_object(step, asides.get(step.step, NO_ASIDE)))


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


def json_line(values: object) -> str:
    """One line of JSON in plain ASCII: no control character of a decoded text survives in it."""
    return json.dumps(values, ensure_ascii=True, allow_nan=False)


def short_number(value: float | None) -> str:
    """Three decimals as in the published tables; more where three would show nothing but zeros.

    A zero is shown without a minus.
    """
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:z.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.2e}"


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
