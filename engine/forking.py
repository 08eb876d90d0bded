"""Forks: a new run from a row of another one, with the state of its optimiser where that is kept.

A run that begins with its parent's state goes on where the parent stood: its first row has the parent's
number, Adam goes on counting, and with nothing changed every row is bit for bit the parent's. Without the
state the fork is a run from step 0, with a fresh optimiser, that starts from the effective z of that row; a
norm that is held to the initial one is held to that z's, which is the parent's. Its schedules begin anew with
it; one of the parent's that had not begun yet begins as many steps later as it would have there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.commands import parse_settings
from engine.errors import UserError
from engine.schedule import parse_schedule
from engine.spec import RunSpec, VectorInit, steered, with_changes
from engine.store.reading import Reader
from engine.store.records import RunRecord
from engine.store.vectors import VectorArray

if TYPE_CHECKING:
    from engine.store.writing import Descent


@dataclass(frozen=True)
class ForkPoint:
    """A row that a run can be forked from, and what is kept of it."""

    run: RunRecord
    """The parent."""

    step: int
    in_force: RunSpec
    """What the parent optimised in that row: its spec, with the learning rate and weights of then."""

    state_steps: tuple[int, ...]
    """Steps of the parent whose state is kept."""

    @cached_property
    def spec(self) -> RunSpec:
        """What a fork with nothing changed asks for: with the state it ends where its parent does.

        A parent that ends with this row, or before, is gone on from by as many steps as it was asked for.
        """
        steps = self.run.steps
        if self.step in self.state_steps and steps <= self.step:
            steps = self.step + self.in_force.steps
        return self.as_fork(with_changes(self.in_force, steps=steps))

    def as_fork(self, spec: RunSpec) -> RunSpec:
        """A spec that starts from this row."""
        return with_changes(spec, init=VectorInit(run=self.run.id, step=self.step).model_dump())

    def begun_anew(self, spec: RunSpec) -> RunSpec:
        """The spec of a fork that has no state: the parent's schedules in it as they fit its own step 0."""
        schedules = dict(spec.schedules)
        for name, text in spec.schedules.items():
            if text == self.in_force.schedules.get(name):
                schedule = parse_schedule(text, of=name)
                schedules[name] = str(schedule.starting_at(max(schedule.origin - self.step, 0)))
        return with_changes(spec, schedules=schedules)

    def obstacle(
        self, *, method: str, bundle: str, norm: object, optimizer: str, step: int | None = None
    ) -> str:
        """Why a fork cannot have the optimiser's state, in a few words; empty where it can.

        Args:
            method: By which the fork seeks z.
            bundle: Name of the fork's bundle.
            norm: How the fork's norm of z is held, as in its spec.
            optimizer: Name of the fork's optimiser.
            step: Another step of the same parent, instead of this one.
        """
        step = self.step if step is None else step
        if step not in self.state_steps:
            there = f"; that of {_listed(self.state_steps)} is kept" if self.state_steps else ""
            return f"no checkpoint there{there}"
        if bundle != self.in_force.bundle:
            return f"the state is of bundle {self.in_force.bundle}"
        if method != self.in_force.method:
            return f"the state is of the method {self.in_force.method}"
        if norm != self.in_force.norm:
            return "the norm is held otherwise"
        if optimizer != self.in_force.optimizer:
            return f"the state is of optimiser {self.in_force.optimizer}"
        return ""

    def origin(
        self, *, method: str, bundle: str, norm: object, optimizer: str, step: int | None = None
    ) -> str:
        """Where a fork comes from and what it starts with: `run 7 step 40, with the optimiser's state`.

        A parent's schedules go on with the state, and begin anew without it.
        """
        obstacle = self.obstacle(method=method, bundle=bundle, norm=norm, optimizer=optimizer, step=step)
        alone = "z only, schedules begin anew" if self.in_force.schedules else "z only"
        what = f"{alone}: {obstacle}" if obstacle else "with the optimiser's state"
        return f"run {self.run.id} step {self.step if step is None else step}, {what}"


def fork_point(reader: Reader, run_id: int, step: int) -> ForkPoint:
    """Look at what is kept of a row.

    Raises:
        UserError: there is no such run, this program does not understand its spec, or neither z nor the
            state of the row is kept: the line says which rows there are.
    """
    run = reader.run(run_id)
    state_steps = tuple(reader.checkpoint_steps(run_id))
    if step not in state_steps and kept_z(reader, run, step) is None:
        kept = sorted({*reader.vector_steps(run_id, "z"), *state_steps})
        which = f"kept are those of {_listed(kept)}" if kept else "none are kept"
        raise UserError(f"step: {step}: run {run_id} has no z stored for it; {which}")
    return ForkPoint(run, step, _spec_in_force(reader, run, step), state_steps)


def fork_start(reader: Reader, point: ForkPoint, spec: RunSpec) -> "tuple[RunSpec, VectorArray, Descent]":
    """What a fork starts with.

    Returns:
        Its spec, the effective z of its row, float32 (D,), and what is recorded of its origin.

    Raises:
        UserError: the fork would end before it begins, or the state cannot be read.
    """
    from engine.store.writing import Descent

    origin = point.origin(method=spec.method, bundle=spec.bundle, norm=spec.norm, optimizer=spec.optimizer)
    state = None
    if not point.obstacle(method=spec.method, bundle=spec.bundle, norm=spec.norm, optimizer=spec.optimizer):
        state = reader.checkpoint(point.run.id, point.step)
        if spec.steps <= point.step:
            raise UserError(f"steps: {spec.steps}: the fork goes on from step {point.step}; more are needed")
    z = kept_z(reader, point.run, point.step)
    if z is None:
        z = _z_of_state(state or reader.checkpoint(point.run.id, point.step))
    digest = point.run.bundle_digest
    fork = point.as_fork(point.begun_anew(spec) if state is None else spec)
    return fork, z, Descent(point.run.id, point.step, origin, state, None if state is None else digest)


def kept_z(reader: Reader, run: RunRecord, step: int) -> VectorArray | None:
    """The effective z of a row. That of the first one is kept as the initial one too."""
    z = reader.vector(run.id, step, "z")
    if z is None:
        first = reader.steps(run.id, limit=1)
        if first and first[0].step == step:
            z = reader.vector(run.id, 0, "init")
    return z


def _z_of_state(state: bytes | None) -> VectorArray:
    """The effective z of a checkpoint."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(state or b"")
        z, held_norm = tensors["z"], tensors["held_norm"]
    except (SafetensorError, KeyError) as error:
        raise UserError(f"checkpoint: damaged: {error}") from None
    norm = np.linalg.norm(z)
    return (z * (held_norm / norm) if held_norm > 0 and norm > 0 else z).astype(np.float32)


def _spec_in_force(reader: Reader, run: RunRecord, step: int) -> RunSpec:
    from pydantic import ValidationError

    try:
        spec = RunSpec.model_validate_json(run.spec)
    except ValidationError:
        raise UserError(f"run {run.id}: this program does not understand what it was asked for") from None
    for command in reader.commands(run.id, status="applied"):
        applied = command.applied_step or 0
        if command.kind == "set" and applied <= step:
            settings = parse_settings(command.arguments)
            spec = steered(
                spec, applied, lr=settings.lr, weights=settings.weights, schedules=settings.schedules
            )
    return with_changes(
        spec, weights={term: spec.weights[term] for term in spec.terms if term in spec.weights}
    )


def _listed(steps: Sequence[int], at_most: int = 6) -> str:
    """Steps as people write them: `step 40`, `steps 0 to 100`, `steps 0, 10, 20 …`."""
    if len(steps) == 1:
        return f"step {steps[0]}"
    if all(after - before == 1 for before, after in pairwise(steps)):
        return f"steps {steps[0]} to {steps[-1]}"
    if len(steps) > at_most:
        return f"steps {', '.join(map(str, steps[: at_most - 1]))} … {steps[-1]}"
    return f"steps {', '.join(map(str, steps))}"
