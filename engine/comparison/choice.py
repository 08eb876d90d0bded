"""Which runs are compared: two to eight of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.store.records import RunRecord

if TYPE_CHECKING:
    from engine.store.reading import Reader  # with NumPy, which the list of runs does not wait for

FEWEST_RUNS, MOST_RUNS = 2, 8
LETTERS = "ABCDEFGH"
"""What each of the compared runs is called beside its curve, in their order."""


def chosen_runs(reader: "Reader", run_ids: Sequence[int]) -> list[RunRecord]:
    """The runs in the order in which they were named.

    Raises:
        UserError: they are not two to eight different runs, or there is no such run.
    """
    twice = next((run for place, run in enumerate(run_ids) if run in run_ids[:place]), None)
    if twice is not None:
        raise UserError(f"run: {twice}: is named twice; {FEWEST_RUNS} to {MOST_RUNS} different runs")
    if not FEWEST_RUNS <= len(run_ids) <= MOST_RUNS:
        raise UserError(f"run: {len(run_ids)} given; {FEWEST_RUNS} to {MOST_RUNS} can be compared")
    return [reader.run(run) for run in run_ids]
