"""A run that a worker is at: its place in an optimization, and what steering has made of it."""

import time
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from engine.breakpoints import Condition, NotFinite, parse_condition
from engine.commands import Halt, parse_halt
from engine.spec import RunSpec, with_changes
from engine.store.recording import Claim, Recorder
from engine.store.records import StepRecord
from engine.store.run_changes import InForce, Settings
from engine.work.fit import fit_of

if TYPE_CHECKING:  # torch is imported when the first run is claimed
    from engine.models.loaded import LoadedBundle
    from engine.search import Search
    from engine.steps.step import Step

CHECKPOINT_STEPS = 50
CHECKPOINT_S = 5.0


@dataclass
class ActiveRun:
    """A run whose models are loaded and whose state is in memory."""

    id: int
    bundle: "LoadedBundle"
    """Its models."""
    optimization: "Search"
    """What makes its rows, and those of the runs that are stepped together with it."""
    conditions: list[Condition]
    """Its break-points."""
    before: StepRecord | None
    """The row before the next one."""
    decoded_before: str | None
    """The newest decoded prediction before the next row."""
    asked_for: RunSpec
    """The spec before anything was set."""
    in_force: RunSpec
    """What is optimised after the rows that are recorded already."""
    recorded: deque[Settings] = field(default_factory=deque)
    """What the next rows were made with that are recorded already.

    A run that goes back to its checkpoint after a crash takes the same way again; then this is empty.
    """
    place: int = 0
    """Its index among the runs of the optimization."""
    places_told: int = 1
    """The places of the optimization with which it was last said to be stepped."""
    repeats: bool = False
    """Whether the row that is being made is recorded already."""
    halt: Halt | None = None
    """Where it pauses because that was asked for."""
    state_before_update: Any = None
    """The state before the last update, kept for a run that pauses when something is not finite."""
    state_before_row: Any = None
    """The state before the row that is being made, of such a run."""
    is_running: bool = True
    checkpoint_step: int = 0
    checkpoint_time: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, claim: Claim, bundle: "LoadedBundle", optimization: "Search", recorder: Recorder) -> Self:
        """The run that was claimed, as it goes on with the next step of an optimization of its own."""
        step = optimization.next_step(0)
        before, decoded_before = recorder.rows_before(claim.run, step)
        halt = None
        if resumed := recorder.resumed_with(claim.run):
            arguments, resumed_at = resumed
            halt = parse_halt(arguments, next_step=resumed_at, steps=claim.in_force.steps)
        return cls(
            claim.run,
            bundle,
            optimization,
            conditions=[parse_condition(condition) for condition in claim.in_force.break_points],
            before=before,
            decoded_before=decoded_before,
            asked_for=RunSpec.model_validate_json(claim.in_force.spec),
            in_force=optimization.specs[0],
            recorded=deque(claim.recorded),
            halt=halt,
            checkpoint_step=step,
        )

    @property
    def spec(self) -> RunSpec:
        """What is optimised, with what is in force of what can be set."""
        return self.optimization.specs[self.place]

    @property
    def next_step(self) -> int:
        """The step whose row comes next."""
        return self.optimization.next_step(self.place)

    @property
    def fit(self) -> Hashable | None:
        """Equal for runs that can be stepped together; None for one that is stepped alone."""
        key = fit_of(self.spec)
        made_with = (self._recorded_weights(row) for row in self.recorded)
        other = any({name for name in weights if weights[name]} - {*self.spec.terms} for weights in made_with)
        # A run that makes rows with terms again that it has no more is alone for so long.
        return None if key is None or other else (id(self.bundle), key)

    # Whether it goes on

    def pause(self) -> None:
        """Stay where it is, without a halt."""
        self.is_running, self.halt = False, None
        self.optimization.hold(self.place)

    def go_on(self, halt: Halt | None) -> None:
        """Go on, to the halt if there is one."""
        self.is_running, self.halt = True, halt
        self.optimization.hold(self.place, is_held=False)

    def leave(self) -> None:
        """Be stepped no more: the others of the optimization go on."""
        self.is_running = False
        self.optimization.hold(self.place)

    @property
    def pauses_when_not_finite(self) -> bool:
        """Whether it has that break-point."""
        return NotFinite() in self.conditions

    @property
    def is_behind(self) -> bool:
        """Whether the next row is recorded already."""
        return bool(self.recorded)

    def changed_weights(self, weights: Mapping[str, float]) -> Mapping[str, float] | None:
        """The weights of a row's terms, where they are not those that were asked for at first."""
        asked_for = {name: weight for name, weight in self.asked_for.weights.items() if weight}
        return None if weights == asked_for else weights

    def _recorded_weights(self, row: Settings) -> Mapping[str, float]:
        return self.asked_for.weights if row.weights is None else row.weights

    # Rows

    def prepare(self) -> None:
        """Get ready for the next row: one that is recorded already is made with what it was made with."""
        if self.is_behind:
            row = self.recorded.popleft()
            self.optimization.repeat(self.place, lr=row.lr, weights=self._recorded_weights(row))
            self.repeats = True
        elif self.pauses_when_not_finite:
            self.state_before_row = self.optimization.copy_of_state(self.place)

    def take(self, step: "Step") -> None:
        """Take up the row that was made."""
        if not self.repeats:
            if step.lr is not None:
                self.state_before_update = self.state_before_row
            self.state_before_row = None
        elif not self.is_behind:
            self.optimization.take_spec(self.place, self.in_force)
            self.repeats = False

    def conditions_met(self, row: StepRecord) -> list[Condition]:
        """The break-points that a row, the one after `before`, runs into."""
        return [each for each in self.conditions if each.is_met(self.before, row, self.decoded_before)]

    def remember(self, row: StepRecord) -> None:
        """Take a row as the one before the next."""
        self.before = row
        if row.decoded_prediction is not None:
            self.decoded_before = row.decoded_prediction

    def step_back(self, in_force: RunSpec) -> None:
        """Go back to before the last update, if that is known: its result may be why nothing is finite."""
        before = self.state_before_update or self.optimization.copy_of_state(self.place)
        self.optimization.go_back(self.place, before)
        self.optimization.take_spec(self.place, in_force)  # something may have been set since
        self.state_before_update = None

    def checkpoint(self) -> bytes:
        """The state now, to go on from."""
        self.checkpoint_step, self.checkpoint_time = self.next_step, time.monotonic()
        return self.optimization.state_bytes(self.place)

    @property
    def checkpoint_is_due(self) -> bool:
        """The newest checkpoint is too many steps or seconds old."""
        return (
            self.next_step - self.checkpoint_step >= CHECKPOINT_STEPS
            or time.monotonic() - self.checkpoint_time >= CHECKPOINT_S
        )


def spec_in_force(in_force: InForce) -> RunSpec:
    """What a run optimises now: as it was asked for, and changed since."""
    spec = RunSpec.model_validate_json(in_force.spec)
    return with_changes(
        spec,
        steps=in_force.steps,
        lr=in_force.lr,
        weights=in_force.weights or spec.weights,
        schedules=spec.schedules if in_force.schedules is None else in_force.schedules,
    )
