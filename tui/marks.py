"""Runs that are marked in the list, to do something with all of them."""

from collections.abc import Collection, Sequence

from engine.comparison.choice import LETTERS, MOST_RUNS


class Marks:
    """Up to eight runs in the order in which they were marked; each has a letter."""

    def __init__(self) -> None:
        self.runs: tuple[int, ...] = ()

    def toggle(self, run: int) -> bool:
        """Mark a run, or take its mark away; False where no more can be marked."""
        if run in self.runs:
            self.runs = tuple(other for other in self.runs if other != run)
        elif len(self.runs) < MOST_RUNS:
            self.runs = (*self.runs, run)
        else:
            return False
        return True

    def restore(self, runs: Sequence[int]) -> None:
        """Mark these runs and no others, as far as so many can be marked."""
        self.runs = tuple(dict.fromkeys(runs))[:MOST_RUNS]

    def keep(self, runs: Collection[int]) -> None:
        """Take the marks of all other runs away."""
        self.runs = tuple(run for run in self.runs if run in runs)

    def letter(self, run: int) -> str:
        """What a run is called in a comparison; empty where it is not marked."""
        return LETTERS[self.runs.index(run)] if run in self.runs else ""
