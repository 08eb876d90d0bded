"""When z is read: decoded, and the text encoded again, for terms and constraints that need to know."""

import math
from collections.abc import Collection, Sequence
from itertools import chain

from torch import Tensor

from engine.models.loaded import LoadedBundle
from engine.objective import CONSTRAINTS, TERMS
from engine.objective.constraint import Constraint
from engine.spec import RunSpec
from engine.steps.own_text import OwnText, OwnTexts
from engine.steps.state import RunState


class Reading:
    """Reads the z of N runs, and lets constraints move it to what was read."""

    def __init__(
        self, specs: Sequence[RunSpec], bundle: LoadedBundle, state: RunState, most_tokens: Sequence[int]
    ) -> None:
        """Args:
        specs: of the runs.
        bundle: the models.
        state: of the runs.
        most_tokens: that each run's text may have, unless its spec says otherwise.
        """
        self._specs, self._state, self._most_tokens = specs, state, most_tokens
        self._own_texts = OwnTexts(bundle, len(specs))
        self._reads = [False] * len(specs)

    def take_up(self, terms: Sequence[Collection[str]]) -> None:
        """Take up which terms each run has."""
        needs = [frozenset(chain.from_iterable(TERMS[name].needs for name in of_run)) for of_run in terms]
        self._reads = [bool(of_run & {"own text", "anchors"}) for of_run in needs]
        self._own_texts.need_tokens(any("own text" in of_run for of_run in needs))

    @property
    def current(self) -> OwnText | None:
        """What the runs were last read as, where a term needs to know; empty and 0 for one that was not."""
        return self._own_texts.current if any(self._reads) else None

    def forget(self, run: int) -> None:
        """Take it that the run was never read."""
        self._own_texts.forget(run)

    def read(self, z: Tensor, runs: Sequence[int]) -> None:
        """Read the effective z (N, D) of some runs."""
        self._own_texts.read(z, self._specs, self._most_tokens, runs=runs)

    def before_rows(self, running: Sequence[int], steps: Sequence[int]) -> None:
        """Let constraints move z, and read what z says where a term needs to know.

        Args:
            running: the runs that give a row next.
            steps: of each run: the step of that row.
        """
        for constraint in CONSTRAINTS.values():
            if move := constraint.move:
                if due := self._due(constraint, running, steps):
                    z = self._state.effective(self._state.z)
                    self.read(z, due)
                    self._state.z[due] = move.to(z, self._own_texts.current.round_trip)[due]
                for run in due:
                    self._forget_reading(run)
                    if move.resets(self._specs[run].option(f"{constraint.name}.moments")):
                        self._state.begin_anew(run)
        self._read_where_due(running, steps)

    def is_due(self, running: Sequence[int], steps: Sequence[int]) -> bool:
        """Whether `before_rows` has something to do."""
        return any(self._due(constraint, running, steps) for constraint in CONSTRAINTS.values()) or any(
            self._reads[run] != self._own_texts.knows(run) or (self._reads[run] and self._is_turn(run, steps))
            for run in running
        )

    def _is_turn(self, run: int, steps: Sequence[int]) -> bool:
        return steps[run] % self._specs[run].read_every == 0

    def _due(self, constraint: Constraint, running: Sequence[int], steps: Sequence[int]) -> list[int]:
        """The runs whose z a constraint moves before the next row."""
        if constraint.move is None:
            return []
        option = f"{constraint.name}.{constraint.move.every}"
        every = {run: self._specs[run].number(option) for run in running}
        return [run for run in every if every[run] and steps[run] > 0 and steps[run] % every[run] == 0]

    def _read_where_due(self, running: Sequence[int], steps: Sequence[int]) -> None:
        """Read z anew at every k-th step; after a checkpoint, the z that was read last."""
        reads = [run for run in running if self._reads[run]]
        for run in set(running) - set(reads):
            if self._own_texts.knows(run):
                self._forget_reading(run)
        due = {run for run in reads if self._is_turn(run, steps)}
        unknown = {run for run in reads if run not in due and not self._own_texts.knows(run)}
        if unknown:
            was_read = self._state.read_z.isfinite().all(dim=-1).tolist()
            due |= {run for run in unknown if not was_read[run]}
            if before := sorted(unknown - due):
                self.read(self._state.read_z, before)
        if due:
            z = self._state.effective(self._state.z)
            self.read(z, sorted(due))
            self._state.read_z[sorted(due)] = z[sorted(due)]

    def _forget_reading(self, run: int) -> None:
        self.forget(run)
        self._state.read_z[run] = math.nan
