"""Steps that are launched ahead of their rows: the device is at the next ones while the host is at a row.

    launched:  … k+3  k+2  k+1 │ k   k-1 …
               on the device,  │ given out
               or being decoded│

The rows that were given out are the truth. Whatever is asked for, set or saved is as of the last of them, and
steps that were launched beyond it, with settings that no longer hold, never were.
"""

import math
import time
import weakref
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass

import torch

from engine.optimizer import Moment, Optimization
from engine.spec import RunSpec
from engine.steps.decoding_beside import DecodingBeside
from engine.steps.rows import Launched, Said
from engine.steps.state import RunState
from engine.steps.step import Step

MOST_STEPS = 40
"""Steps that are launched and whose rows have not been given out, at most: two batches of those that are
decoded together, and some."""

MOST_DECODED_ROWS = 64
"""Rows among them that are decoded, about at most: where so many wait, no other step is launched that is
decoded, but that there may always be two."""

MOST_ON_DEVICE = 2
"""Steps that the device has before it, at most: it always has work, and whoever needs it never waits long."""


def runs_ahead_on(device: torch.device) -> bool:
    """Whether that gains anything: on the CPU the two threads would only share its cores."""
    return device.type == "cuda"


@dataclass(frozen=True, eq=False)
class _Pending:
    """A step whose rows have not been given out."""

    before: Moment
    """Where the runs were when it was launched: after the rows before it."""

    launched: Launched

    said: "Future[Said] | None"
    """None where no row is decoded."""

    @property
    def is_ready(self) -> bool:
        """Whether its rows can be made without waiting."""
        return self.launched.sent.transfer.has_arrived and (self.said is None or self.said.done())


class Ahead:
    """An optimization that runs ahead; `engine.search.Search` says what its methods are."""

    def __init__(self, optimization: Optimization, *, patience_s: float | None = None) -> None:
        """Take over an optimization, which nobody else may advance or change from now on.

        Args:
            optimization: at its beginning.
            patience_s: `advance` waits no longer for texts and gives no rows then; None: as long as it takes.
        """
        self._optimization, self._patience_s = optimization, patience_s
        self._pending: deque[_Pending] = deque()
        self._decode = DecodingBeside(
            optimization.said, optimization.bundle, rows_together=optimization.rows_together
        )
        self._leave = weakref.finalize(self, self._decode.close)
        self._waits_for_empty = False
        """Whether a step could not be launched: it is tried again when it comes next, and fails then."""
        self.specs = optimization.specs
        self.raw_initial_z = optimization.raw_initial_z
        self.target_vector = optimization.target_vector

    def advance(self, *, decodes: bool | None = None) -> list[Step]:
        """Give the rows of one step, and launch what fits beyond it.

        Args:
            decodes: whether the rows are decoded, and nothing is launched beyond; None: where their specs
                say so.
        """
        if decodes is not None:
            self._rewind()
        if not self._pending and (decodes is not None or self._optimization.needs_host):
            return self._optimization.advance(decodes=decodes)
        deadline = math.inf if self._patience_s is None else time.monotonic() + self._patience_s
        self._launch_ahead(deadline)
        if not self._pending:
            return []
        first = self._pending[0]
        try:
            if first.said is not None and not _is_said(first.said, deadline):
                return []
            said = None if first.said is None else first.said.result()
            rows = self._optimization.rows(first.launched, said)
        except Exception:
            self._rewind()
            del first  # it knows the error, which knows this frame: all that the runs hold would stay
            raise
        self._pending.popleft()
        if any(row.problem is not None for row in rows):
            self._rewind()
            self._optimization.end_where_not_finite(rows)
        return rows

    def _launch_ahead(self, deadline: float) -> None:
        """Launch the next step; and more of them while the row that comes next has to be waited for."""
        self._waits_for_empty = self._waits_for_empty and bool(self._pending)
        while self._may_launch():
            try:
                self._launch()
            except Exception:
                if not self._pending:
                    raise
                self._waits_for_empty = True
            if self._pending[0].is_ready or time.monotonic() > deadline:
                break
        else:
            self._decode.hurry()  # no step is launched until there are texts

    def _may_launch(self) -> bool:
        return not (
            self._waits_for_empty
            or len(self._pending) >= MOST_STEPS
            or not self._optimization.running
            or self._optimization.needs_host
            or (self._has_enough_to_decode and self._is_decoded_next)
        )

    @property
    def _has_enough_to_decode(self) -> bool:
        rows = sum(pending.launched.decoded_rows for pending in self._pending)
        return len(self._pending) > 1 and rows >= MOST_DECODED_ROWS

    @property
    def _is_decoded_next(self) -> bool:
        """Whether the step that would be launched next is decoded."""
        optimization = self._optimization
        return any(self.specs[run].decodes(optimization.next_step(run)) for run in optimization.running)

    def _launch(self) -> None:
        if len(self._pending) >= MOST_ON_DEVICE:
            self._pending[-MOST_ON_DEVICE].launched.sent.transfer.wait()
        before = self._optimization.copy_of_all()
        try:
            launched = self._optimization.launch()
        except Exception:
            self._optimization.go_back_to(before)
            raise
        said = self._decode(launched) if launched.decoded_rows else None
        self._pending.append(_Pending(before, launched, said))

    def _rewind(self) -> None:
        """Take back what was launched beyond the last row."""
        if self._pending:
            self._optimization.go_back_to(self._pending[0].before)
        for pending in self._pending:
            if pending.said is not None:
                pending.said.cancel()
        self._pending.clear()

    @property
    def _now(self) -> Moment | None:
        """Where the runs are after the last row; None: where the optimization is."""
        return self._pending[0].before if self._pending else None

    # What is asked

    @property
    def done(self) -> bool:
        """Whether every run has given its last row."""
        return not self._pending and self._optimization.done

    def next_step(self, run: int) -> int:
        """The step whose row the run gives next; once it is done, the step of its last row."""
        return self._optimization.next_step(run) if self._now is None else self._now.next_step[run]

    def state_bytes(self, run: int) -> bytes:
        """A run's checkpoint, as safetensors: enough to go on bit for bit."""
        if self._now is None:
            return self._optimization.state_bytes(run)
        return self._now.state.run_bytes(run)

    def copy_of_state(self, run: int) -> RunState:
        """A run's state, kept in memory on its device: cheap enough for every step."""
        if self._now is None:
            return self._optimization.copy_of_state(run)
        return self._now.state.copy_of_run(run)

    # What is set

    def hold(self, run: int, is_held: bool = True) -> None:
        """Leave a run where it is, without rows and updates, or let it go on."""
        self._rewind()
        self._optimization.hold(run, is_held)

    def take_spec(self, run: int, spec: RunSpec) -> None:
        """Go on, from the next `advance` on, with the learning rate, weights and schedules of a spec.

        Raises:
            UserError: a term needs what the bundle does not have; nothing has been changed.
        """
        self._rewind()
        self._optimization.take_spec(run, spec)

    def repeat(self, run: int, *, lr: float, weights: Mapping[str, float]) -> None:
        """Make the next row with what it was recorded with, and all that follow until `take_spec`."""
        self._rewind()
        self._optimization.repeat(run, lr=lr, weights=weights)

    def extend(self, run: int, steps: int) -> None:
        """Change the number of a run's updates to a larger one.

        Raises:
            UserError: the number is not larger, or not allowed.
        """
        self._rewind()
        self._optimization.extend(run, steps)

    def restore(self, run: int, data: bytes) -> None:
        """Go on with a run from its checkpoint, with the learning rate of then.

        Raises:
            UserError: the checkpoint is damaged, or does not fit the run; nothing has been changed.
        """
        self._rewind()
        self._optimization.restore(run, data)

    def go_back(self, run: int, state: RunState) -> None:
        """Go on with a run from a copy of its state."""
        self._rewind()
        self._optimization.go_back(run, state)

    def close(self) -> None:
        """Take back what was launched beyond the last row, and end the thread."""
        self._rewind()
        self._leave()


def _is_said(said: "Future[Said]", deadline: float) -> bool:
    """Whether the texts of a step are there, or why there are none, by some time."""
    patience_s = None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
    return bool(wait([said], patience_s).done)
