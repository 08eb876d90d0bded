"""The dialog that asks which step of a replay to go to."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import ClassVar

from engine.errors import UserError
from engine.store.records import RunRecord
from tui.requests import Requests
from tui.screens.dialog import Dialog, DialogField, Values, Wanted, whole_number


class GoToStepDialog(Dialog):
    """Go to the row of a step, or the nearest before it."""

    title_words: ClassVar[str] = "replay from a step"
    accept_words: ClassVar[str] = "goes there"

    def __init__(self, run: RunRecord, requests: Requests, steps: Sequence[int]) -> None:
        """`steps`: those that have a row, ascending; at least one."""
        super().__init__(run, requests, [DialogField("step", "step", "", f"{steps[0]} to {steps[-1]}")])
        self._steps = steps

    def check(self, values: Values) -> Wanted:
        """Which step."""
        step, (first, *_, last) = whole_number("step", values["step"]), (self._steps[0], *self._steps)
        if not first <= step <= last:
            raise UserError(f"step: {step}: run {self.run.id} was recorded from step {first} to {last}")
        shown = self._steps[bisect_right(self._steps, step) - 1]
        where = "shows its row" if shown == step else f"shows step {shown}, the last row before it"
        return Wanted("seek", {"step": step}, where)
