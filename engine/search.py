"""Search: what makes the rows of runs, whatever their method is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import UserError
from engine.population.options import NAME as POPULATION
from engine.spec import RunSpec

if TYPE_CHECKING:
    from engine.models.loaded import LoadedBundle
    from engine.steps.step import Step, Vector


class Search(Protocol):
    """Some runs' way from their initial z on, one row of each at a time: their state, and the step.

    Implemented by `engine.optimizer.Optimization`, by `engine.ahead.Ahead` around it, and by
    `engine.population.search.PopulationSearch`.
    """

    specs: list[RunSpec]
    """What each run optimises, with what is in force of what can be set."""

    raw_initial_z: "Vector"
    """What makes this beginning again, as `initial`. # (N, D)"""

    target_vector: "Vector"
    """encode(target), of the first target sentence. # (N, D)"""

    @property
    def done(self) -> bool:
        """Whether every run has given its last row."""

    def next_step(self, run: int) -> int:
        """The step whose row the run gives next; once it is done, the step of its last row."""

    def advance(self, *, decodes: bool | None = None) -> "list[Step]":
        """Make one step, and return the rows of the runs that were not done; none if patience has run out.

        Args:
            decodes: whether the rows are decoded; None: where their specs say so.
        """

    def hold(self, run: int, is_held: bool = True) -> None:
        """Leave a run where it is, without rows and updates, or let it go on."""

    def take_spec(self, run: int, spec: RunSpec) -> None:
        """Go on, from the next `advance` on, with the learning rate, weights and schedules of a spec.

        Raises:
            UserError: a term needs what the bundle does not have; nothing has been changed.
        """

    def repeat(self, run: int, *, lr: float, weights: Mapping[str, float]) -> None:
        """Make the next row with what it was recorded with, and all that follow until `take_spec`."""

    def extend(self, run: int, steps: int) -> None:
        """Change the number of a run's updates to a larger one.

        Raises:
            UserError: the number is not larger, or not allowed.
        """

    def state_bytes(self, run: int) -> bytes:
        """A run's checkpoint, as safetensors: enough to go on bit for bit."""

    def restore(self, run: int, data: bytes) -> None:
        """Go on with a run from its checkpoint, with the learning rate of then.

        Raises:
            UserError: the checkpoint is damaged, or does not fit the run; nothing has been changed.
        """

    def copy_of_state(self, run: int) -> Any:
        """A run's state, kept in memory: cheap enough for every step."""

    def go_back(self, run: int, state: Any) -> None:
        """Go on with a run from what `copy_of_state` gave."""

    def close(self) -> None:
        """Let go of what goes on between two rows. The state is as of the last one."""


def begin_search(
    specs: Sequence[RunSpec],
    bundle: "LoadedBundle",
    *,
    initial: "Vector | None" = None,
    patience_s: float | None = None,
) -> Search:
    """What their method asks for, at its beginning; runs of a population search stand alone.

    Args:
        specs: one for each run, all of one method.
        bundle: the models.
        initial: z to start from, in place of the specs' inits. # (N, D)
        patience_s: where rows are decoded beside the steps, have `advance` wait for them no longer than this.

    Raises:
        UserError: a text is too long for the models, in a language that they do not have, or an initial z
            is missing or unusable.
    """
    if specs[0].method == POPULATION:
        from engine.population.search import PopulationSearch

        return PopulationSearch(specs, bundle, initial=initial)
    from engine.ahead import Ahead, runs_ahead_on
    from engine.optimizer import Optimization

    optimization = Optimization(specs, bundle, initial=initial)
    return Ahead(optimization, patience_s=patience_s) if runs_ahead_on(bundle.device) else optimization


def optimize(spec: RunSpec, bundle: "LoadedBundle", *, initial: "Vector | None" = None) -> "Iterator[Step]":
    """Optimise one z: n updates give rows 0 … n.

    Args:
        spec: the run. Its bundle, device and dtype say what to load; here, what is loaded counts.
        bundle: the models.
        initial: z to start from, in place of the spec's init. # (D,)

    Raises:
        UserError: at once, when the spec does not fit the models; after the row concerned, when its loss or
            gradient is not finite.
    """
    return _rows(begin_search([spec], bundle, initial=None if initial is None else initial[None]))


def _rows(search: Search) -> "Iterator[Step]":
    while not search.done:
        for row in search.advance():
            yield row
            if row.problem:
                raise UserError(row.problem)
