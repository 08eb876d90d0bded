"""Verify a recorded run: make every row again from the recorded beginning, and compare.

The rows are made with the learning rate and the weights that each of them was recorded with, so that what
was changed on the way is changed again at its step. On the ground that the run was recorded on (weights,
versions, device) every stored bit has to come out again; on another one, and where the run was stepped
together with others, numbers and vectors have to within the tolerances that `engine.verdict` states, and
texts exactly.
"""

import math
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from engine.batched import BATCHED
from engine.compiler import check_compiler
from engine.environment import environment
from engine.errors import UserError
from engine.search import Search, begin_search
from engine.spec import RunSpec, with_changes
from engine.steps.step import Step
from engine.store.reading import Reader
from engine.store.records import RunRecord, StepRecord, TaskRecord
from engine.store.run_changes import Event
from engine.store.vectors import VectorArray
from engine.tasks import check_task
from engine.verdict import NUMBER_TOLERANCE, VECTOR_TOLERANCE, Difference, Verdict, compare_ground
from engine.work.task_runners import Progress, TaskContext, TaskOutcome

if TYPE_CHECKING:
    from engine.models.loaded import LoadedBundle

GROUND = ("torch", "fairseq2", "sonar-space", "transformers", "compiled", "device", "threads")
"""What of the environment decides about the bits of a row, besides the weights."""

_NUMBERS = ("loss", "similarity", "grad_norm", "z_norm")


def verify(context: TaskContext, task: TaskRecord) -> Generator[Progress, None, TaskOutcome]:
    """Make the rows of a run again, one a piece."""
    assert task.run is not None
    with Reader(context.database) as reader:
        run = reader.run(task.run)
        last = check_task("verify", run, task.arguments).get("to", run.last_step)
        assert last is not None
        asked = RunSpec.model_validate_json(run.spec)
        bundle = context.load_bundle(spec_to_verify(asked, context.device))
        yield Progress(0, last + 1)
        again = _beginning(reader, run, asked, bundle)
        first = again.next_step(0)
        ground = [*_other_ground(run, bundle), *_company(reader, run.id)]
        comparison = _Comparison(is_exact=not ground)
        comparison.vectors(first, "target", reader.vector(run.id, 0, "target"), again.target_vector[0])
        for row in _rows(reader, run.id, first, last):
            expected = again.next_step(0)
            if row is None or row.step != expected:
                comparison.missing(expected)
                break
            step = _make_again(again, row, reader.row_weights(run.id, row.step) or asked.weights)
            comparison.row(reader, row, step)
            yield Progress(row.step - first + 1, last - first + 1)
            if step.problem is not None:
                break
    verdict = Verdict(
        run.id,
        first,
        last,
        tuple(ground),
        comparison.first,
        len(comparison.differing_steps),
        tuple(comparison.largest.values()),
    )
    return TaskOutcome(verdict.to_result(), Event("verified", verdict.summary, task.who))


def spec_to_verify(asked: RunSpec, device: str) -> RunSpec:
    """What is made again of a spec on a device: where nothing compiles, a compiled run is not."""
    try:
        if asked.compile:
            check_compiler(device)
    except UserError:
        return with_changes(asked, compile=False)
    return asked


def _beginning(reader: Reader, run: RunRecord, asked: RunSpec, bundle: "LoadedBundle") -> Search:
    """The run before its first row: from the state that a fork took over, else from its initial z."""
    spec = with_changes(asked, steps=run.steps)
    initial = reader.vector(run.id, 0, "init")
    again = begin_search([spec], bundle, initial=None if initial is None else initial[np.newaxis])
    (first,) = reader.steps(run.id, limit=1)
    if (state := reader.checkpoint(run.id, first.step)) is not None:
        again.restore(0, state)
    return again


def _rows(reader: Reader, run: int, first: int, last: int) -> Iterator[StepRecord | None]:
    """The recorded rows up to the last one; None in the place of one that is missing at the end."""
    step = first - 1
    for row in reader.all_steps(run):
        if row.step > last:
            break
        step = row.step
        yield row
    if step < last:
        yield None


def _make_again(again: Search, row: StepRecord, weights: Mapping[str, float]) -> Step:
    again.repeat(0, lr=again.specs[0].lr if row.lr is None else row.lr, weights=weights)
    (step,) = again.advance(decodes=row.decoded_prediction is not None or row.decoded_z is not None)
    return step


def _other_ground(run: RunRecord, bundle: "LoadedBundle") -> list[str]:
    plain = {"compiled": "no"}
    before = None if run.environment is None else plain | dict(run.environment)
    now = plain | environment(str(bundle.device), is_compiled=bundle.is_compiled)
    others = compare_ground(before, now, GROUND)
    if bundle.is_compiled and bundle.device.type != "cpu":
        others.append("compiled: how a card's sums are ordered is measured out with each compilation")
    digest = (run.bundle_digest or "unknown")[:8]
    weights = f"weights of {run.bundle}: {bundle.digest[:8]}, recorded with {digest}"
    return others if run.bundle_digest == bundle.digest else [weights, *others]


def _company(reader: Reader, run: int) -> list[str]:
    """Whether the rows were made beside those of other runs: here they are made alone."""
    is_batched = any(event.kind == BATCHED for event in reader.events(run))
    return ["recorded together with other runs, made again alone"] if is_batched else []


class _Comparison:
    """Collects differences; `is_exact`: every bit counts."""

    def __init__(self, *, is_exact: bool) -> None:
        self._is_exact = is_exact
        self.first: Difference | None = None
        self.differing_steps: set[int] = set()
        self.largest: dict[str, Difference] = {}

    def row(self, reader: Reader, row: StepRecord, step: Step) -> None:
        """Compare all that is stored of a row."""
        number = row.step
        for name in _NUMBERS:
            self._number(number, name, getattr(row, name), getattr(step, name))
        for name in sorted({*row.terms, *step.terms}):
            self._number(number, f"terms.{name}", row.terms.get(name), step.terms.get(name))
        for name, measured in row.measures.items():
            self._number(number, f"measures.{name}", measured, step.measures.get(name))
        for kind, now in (("z", step.z), ("prediction", step.prediction)):
            self.vectors(number, kind, reader.vector(row.run, number, kind), now)
        for name in ("decoded_z", "decoded_prediction", "match"):
            self._same(number, name, getattr(row, name), getattr(step, name))
        stored_losses = reader.token_losses(row.run, number) or ()
        for stored, loss in zip(stored_losses, step.token_losses or (), strict=False):
            self._number(number, "token_losses", stored, float(f"{loss:.4g}"))  # stored with four digits
        self._same(number, "lr", row.lr, step.lr)
        if self._is_exact:
            self._same(number, "state_hash", row.state_hash, step.state_hash)

    def vectors(self, step: int, kind: str, stored: VectorArray | None, now: VectorArray) -> None:
        """Compare a vector, if it is kept. # (D,)"""
        if stored is None or stored.tobytes() == now.tobytes():
            return
        if stored.shape != now.shape:
            self._add(
                Difference(step, kind, f"{stored.size} values", f"{now.size} values", None), counts=True
            )
            return
        distance = float(np.linalg.norm(stored.astype(np.float64) - now))
        is_allowed = distance <= VECTOR_TOLERANCE * float(np.linalg.norm(stored.astype(np.float64)))
        size = distance if math.isfinite(distance) else None
        self._add(Difference(step, kind, None, None, size), counts=self._is_exact or not is_allowed)

    def missing(self, step: int) -> None:
        """The row of a step is not there."""
        self._add(Difference(step, "row", None, "a row", None), counts=True)

    def _number(self, step: int, name: str, stored: float | None, now: float | None) -> None:
        if now is not None and not math.isfinite(now):
            now = None  # what is not finite is stored as nothing
        if stored is None or now is None:
            self._same(step, name, stored, now)
            return
        size = abs(stored - now)
        is_allowed = size <= NUMBER_TOLERANCE * max(1.0, abs(stored))
        if size:
            counts = self._is_exact or not is_allowed
            self._add(
                Difference(step, name, stored, now, size if math.isfinite(size) else None), counts=counts
            )

    def _same(self, step: int, name: str, stored: float | str | bool | None, now: object) -> None:
        if stored != now:
            self._add(Difference(step, name, stored, now, None), counts=True)  # type: ignore[arg-type]

    def _add(self, difference: Difference, *, counts: bool) -> None:
        before = self.largest.get(difference.field)
        if difference.size is not None and (before is None or difference.size > (before.size or 0)):
            self.largest[difference.field] = difference
        if counts:
            self.first = self.first or difference
            self.differing_steps.add(difference.step)
