"""What a row means for its run: what is recorded with it, and whether the run pauses or ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.breakpoints import NotFinite
from engine.spec import RunSpec
from engine.store.appending import NewRow
from engine.store.recording import NewStep
from engine.store.records import SentenceRecord, StepRecord
from engine.store.run_changes import Event
from engine.work.active_run import ActiveRun
from engine.work.together import Made

if TYPE_CHECKING:  # torch is imported when the first run is claimed
    from engine.steps.step import Step


@dataclass(frozen=True)
class Outcome:
    """A row that was made, and what comes of it."""

    run: ActiveRun
    step: "Step"
    recorded: NewStep
    pauses: bool
    is_last: bool
    """Whether the run has come to its end."""


def outcome_of(made: Made, in_force: Callable[[int], RunSpec]) -> Outcome:
    """What comes of a row. A run that pauses where nothing is finite has gone back over its last update then.

    Args:
        made: the row.
        in_force: what a run optimises now, by its id.
    """
    run, step = made.run, made.step
    row = _row(run.id, step)
    vectors = {"z": step.z} if run.spec.keeps_vector(step.step) or step.lr is None else {}
    if step.decoded_prediction is not None:
        vectors["prediction"] = step.prediction
    met = [] if made.was_recorded else run.conditions_met(row)
    events = [Event("break-point", f"met: {condition.describe(row)}") for condition in met]
    is_last = step.lr is None and step.problem is None
    fails = step.problem is not None and NotFinite() not in met
    ends = is_last or fails
    if run.halt is not None and step.step >= run.halt.step and not (ends or made.was_recorded):
        events.append(Event("paused", run.halt.reason))
    pauses = bool(events) and not ends
    if pauses and step.problem is not None:
        run.step_back(in_force(run.id))
    is_due = not fails and (is_last or pauses or run.checkpoint_is_due)
    new_row = NewRow(
        row,
        vectors,
        token_losses=step.token_losses,
        weights=run.changed_weights(step.weights),
        sentences=[SentenceRecord(each.text, each.ce, each.match) for each in step.sentences],
        reread_prediction=step.reread_prediction,
    )
    recorded = NewStep(
        new_row,
        run.checkpoint() if is_due else None,
        events=events,
        pause_before=run.next_step if pauses else None,
    )
    return Outcome(run, step, recorded, pauses=pauses, is_last=is_last)


def _row(run: int, step: "Step") -> StepRecord:
    return StepRecord(
        run=run,
        step=step.step,
        loss=step.loss,
        terms=step.terms,
        similarity=step.similarity,
        grad_norm=step.grad_norm,
        z_norm=step.z_norm,
        lr=step.lr,
        elapsed_ms=step.elapsed_ms,
        decoded_z=step.decoded_z,
        decoded_prediction=step.decoded_prediction,
        match=step.match,
        state_hash=step.state_hash,
        measures=step.measures,
    )
