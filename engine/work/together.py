"""Runs that are stepped together: as one batch, each in a place of its own, and none sees another.

The places are 1, 2, 4 … in number. Those that are left over are held, as are those of runs that are paused or
have ended: what a run's numbers are depends, in their last digits, on how many places there are, and not on
who is in the others.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UserError
from engine.search import begin_search
from engine.spec import RunSpec
from engine.store.run_changes import InForce
from engine.work.active_run import ActiveRun, spec_in_force
from engine.work.fit import fit_of

if TYPE_CHECKING:  # torch is imported when the first run is claimed
    from engine.models.loaded import LoadedBundle
    from engine.steps.step import Step
    from engine.work.room import Room

MOST_TOGETHER = 128

LOOK_AHEAD = 256
"""So many of the queued runs are looked at."""

PATIENCE_S = 0.05
"""While rows are decoded that take longer, whoever steers a run is listened to."""


@dataclass(frozen=True)
class Made:
    """A row that was made of a run."""

    run: ActiveRun
    step: "Step"
    was_recorded: bool
    """Whether it was recorded already, and has been made again."""


def sharing(runs: Iterable[ActiveRun]) -> list[list[ActiveRun]]:
    """The runs by the optimization that they share."""
    shared: dict[int, list[ActiveRun]] = {}
    for run in runs:
        shared.setdefault(id(run.optimization), []).append(run)
    return list(shared.values())


def advance(runs: Sequence[ActiveRun]) -> list[Made]:
    """Make one row of each of the runs of one optimization that is going on; none if that takes too long."""
    going_on = {run.place: run for run in runs if run.is_running}
    was_recorded = {place for place, run in going_on.items() if run.is_behind}
    for run in going_on.values():
        run.prepare()
    made = []
    for step in runs[0].optimization.advance():
        run = going_on[step.run]
        run.take(step)
        made.append(Made(run, step, step.run in was_recorded))
    return made


def put_together(runs: Sequence[ActiveRun], *, places: int) -> None:
    """Give runs an optimization of so many places, in which each goes on exactly where it is.

    Nothing is changed where that cannot be.
    """
    of_places = [*runs, *[runs[0]] * (places - len(runs))]
    initial = np.stack([run.optimization.raw_initial_z[run.place] for run in of_places])
    optimization = begin_search(
        [run.spec for run in of_places], runs[0].bundle, initial=initial, patience_s=PATIENCE_S
    )
    for place, run in enumerate(of_places):
        if place < len(runs):
            optimization.go_back(place, run.optimization.copy_of_state(run.place))
        optimization.hold(place, is_held=place >= len(runs) or not run.is_running)
    were_as_many = all(len(run.optimization.specs) == places for run in runs)
    for place, run in enumerate(runs):
        run.optimization, run.place = optimization, place
    if not were_as_many:  # as many texts at a time were decoded
        let_go_of_decoding(runs[0].bundle)


def let_go_of_decoding(bundle: "LoadedBundle") -> None:
    """Free what decoding keeps ready on a card; it is made anew for the next texts."""
    from engine.decoding.texts import let_go

    let_go(bundle)


class Together:
    """Which runs of a worker share an optimization, and when that changes."""

    def __init__(
        self, runs: Mapping[int, ActiveRun], *, asked: int | None, report: Callable[[str], None]
    ) -> None:
        """Say how many there may be.

        Args:
            runs: those in memory, by their ids.
            asked: how many are to be stepped together at most; None: as many as the card has memory for, and
                on the CPU one: each has its rows sooner there if they go on one after the other.
            report: gets a line when runs cannot be put together.
        """
        self._runs = runs
        self._asked = asked
        self._report = report
        self._caps: dict[int, int] = {}
        self._rooms: dict[LoadedBundle, Room] | None = None
        """While the runs are looked through: what was found out of the card for each bundle."""
        self._settled: object = None

    def cap(self, run: int, most: int) -> None:
        """Have a run stepped with fewer others from now on: so many in all, at most."""
        self._caps[run] = most

    # Runs in memory

    def settle(self) -> list[list[ActiveRun]]:
        """Put runs together that fit, and take apart what no longer does; return the groups that are new.

        A group is also made anew when half of its places, or fewer, would do. Paused runs keep their places
        meanwhile, and go along where there is room.
        """
        if self._state() == self._settled:
            return []
        new = []
        with self._looking_through():
            for alike in self._alike().values():
                for runs in self._shares(alike):
                    if self._is_due(runs):
                        along = self._along(runs)
                        new += self._rebuilt(runs + along, places=self._places(len(runs), self._most(runs)))
        for runs in sharing(self._runs.values()):
            if len(runs[0].optimization.specs) > 1 and not any(run.is_running for run in runs):
                for run in runs:
                    new += self._rebuilt([run], places=1)
        self._settled = self._state()
        return new

    def _state(self) -> object:
        """What the groups depend on."""
        return [
            (run.id, id(run.optimization), run.is_running, run.is_behind, self._caps.get(run.id), run.spec)
            for run in self._runs.values()
        ]

    def _alike(self) -> dict[Hashable, list[ActiveRun]]:
        """The runs that are going on, by what fits together."""
        alike: dict[Hashable, list[ActiveRun]] = {}
        for run in self._runs.values():
            if run.is_running:
                alike.setdefault(run.fit or run.id, []).append(run)
        return alike

    def _shares(self, alike: Sequence[ActiveRun]) -> list[list[ActiveRun]]:
        """Runs that fit together, as many at a time as may be: those that are together already stay so."""
        shares: list[list[ActiveRun]] = []
        for runs in sorted(sharing(alike), key=len, reverse=True):
            for share in shares:
                if len(share) + len(runs) <= self._most([*share, *runs]):
                    share += runs
                    break
            else:
                shares.append(list(runs))
        return shares

    def _is_due(self, runs: Sequence[ActiveRun]) -> bool:
        """Whether runs that are to be stepped together are not, or with too many others."""
        optimization = runs[0].optimization
        if any(run.optimization is not optimization for run in runs):
            return True
        sharers = [run for run in self._runs.values() if run.optimization is optimization]
        if sum(run.is_running for run in sharers) > len(runs):
            return True
        places = len(optimization.specs)
        return places > 1 and (2 * len(runs) < places or 2 * len(sharers) <= places)

    def _along(self, runs: Sequence[ActiveRun]) -> list[ActiveRun]:
        """The paused runs beside these that there is room for in a new group of them."""
        optimizations = [run.optimization for run in runs if len(run.optimization.specs) > 1]
        paused = [
            run
            for run in self._runs.values()
            if not run.is_running and run.optimization in optimizations and run.fit == runs[0].fit
        ]
        return paused[: self._places(len(runs), self._most(runs)) - len(runs)]

    def _rebuilt(self, runs: list[ActiveRun], *, places: int) -> list[list[ActiveRun]]:
        """The runs in places of their own, or nothing where that cannot be."""
        try:
            put_together(runs, places=places)
        except Exception as error:
            self._report(f"{len(runs)} runs cannot be put together: {' '.join(str(error).split())}")
            for run in runs:
                self.cap(run.id, max(1, len(runs) // 2))
            return []
        return [runs]

    @staticmethod
    def _places(runs: int, most: int) -> int:
        """The next power of two, or what is allowed if that is less."""
        return max(runs, min(1 << (runs - 1).bit_length(), most))

    def _most(self, runs: Sequence[ActiveRun]) -> int:
        return self.most(runs[0].bundle, [(run.id, run.spec) for run in runs])

    def most(self, bundle: "LoadedBundle", runs: Sequence[tuple[int, RunSpec]]) -> int:
        """How many runs may be stepped together, these among them, which are given by id and spec."""
        if self._asked is not None:
            most = self._asked
        elif bundle.device.type == "cpu":
            most = 1
        else:
            most = self._room_for(bundle).runs([spec for _, spec in runs], most=MOST_TOGETHER)
        return max(1, min([most, *(self._caps[run] for run, _ in runs if run in self._caps)]))

    def _room_for(self, bundle: "LoadedBundle") -> "Room":
        from engine.work.room import Room

        if self._rooms is None:
            return Room.now(bundle)
        if bundle not in self._rooms:
            self._rooms[bundle] = Room.now(bundle)
        return self._rooms[bundle]

    @contextmanager
    def _looking_through(self) -> Iterator[None]:
        """Ask the card once meanwhile, and not for each run anew."""
        self._rooms = {}
        try:
            yield
        finally:
            self._rooms = None

    # Runs that are queued

    def joining(
        self, queued: Callable[[int], Sequence[tuple[int, InForce]]], *, is_beginning: bool
    ) -> list[int]:
        """Which queued runs are to be claimed now, by their ids, to be stepped with what is going on.

        Args:
            queued: gives the oldest runs of the queue, so many at most, by their ids.
            is_beginning: nothing has been stepped yet of what is going on. Later, nobody overtakes a run that
                does not fit, and a group is not made anew for a few of many.
        """
        with self._looking_through():
            return self._joining(queued, is_beginning=is_beginning)

    def _joining(
        self, queued: Callable[[int], Sequence[tuple[int, InForce]]], *, is_beginning: bool
    ) -> list[int]:
        groups = {fit: runs for fit, runs in self._alike().items() if runs[0].fit is not None}
        members = {
            fit: [(run.id, run.spec) for run in runs]
            for fit, runs in groups.items()
            if len(runs) < self._most(runs)
        }
        if not members:
            return []
        fits_of_models = {fit[1]: fit for fit in members if isinstance(fit, tuple)}
        chosen: list[int] = []
        left = 0
        for run, in_force in queued(LOOK_AHEAD):
            spec = _readable(in_force)
            fit = fits_of_models.get(None if spec is None else fit_of(spec))
            if spec is None or fit is None:
                if not is_beginning:
                    break
                continue
            with_it = [*members[fit], (run, spec)]
            if len(with_it) <= self.most(groups[fit][0].bundle, with_it):
                members[fit] = with_it
                chosen.append(run)
            else:
                left += 1
        is_few = left and 4 * len(chosen) < sum(map(len, members.values()))
        return [] if is_few and not is_beginning else chosen


def _readable(in_force: InForce) -> RunSpec | None:
    """The spec of a queued run; None where it is none, which is said when it is loaded."""
    try:
        return spec_in_force(in_force)
    except (UserError, ValueError):
        return None


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in a few words: `3–5, 9`."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(
        f"{each[0]}–{each[-1]}" if len(each) > 2 else ", ".join(map(str, each)) for each in found
    )
