"""The dialog that changes the weights of the loss terms."""

from collections.abc import Mapping
from typing import ClassVar

from engine.errors import UserError
from engine.objective import TERMS
from engine.store.records import RunRecord
from tui.pending import schedule_words, set_to
from tui.requests import Requests
from tui.screens.dialog import Dialog, DialogField, Values, Wanted
from tui.spelled import number_or_schedule


class WeightsDialog(Dialog):
    """Every loss term with its weight or schedule in force; only what differs is asked for."""

    title_words: ClassVar[str] = "weights of the loss terms"
    accept_words: ClassVar[str] = "sets them"

    def __init__(
        self,
        run: RunRecord,
        requests: Requests,
        proposed: Mapping[str, float],
        schedules: Mapping[str, str] | None = None,
    ) -> None:
        """A dialog.

        Args:
            run: Whose weights they are.
            requests: Who imports what the dialog needs.
            proposed: The weights that the run will have once all that is pending is done.
            schedules: The schedules that it will have then.
        """
        self._weights = {name: float(proposed.get(name, 0)) for name in TERMS}
        self._schedules = {name: text for name, text in (schedules or {}).items() if name in TERMS}
        self._typed = {name: self._schedules.get(name) or f"{proposed.get(name, 0):g}" for name in TERMS}
        fields = [
            DialogField(name, name, self._typed[name], f"in force {_in_force(run, name)}; {term.description}")
            for name, term in TERMS.items()
        ]
        super().__init__(run, requests, fields)

    def prepare(self) -> None:
        """Import what checks a weight."""
        from engine import spec  # noqa: F401

    def check(self, values: Values) -> Wanted:
        """The weights that differ from those in force."""
        from engine.commands import parse_settings
        from engine.spec import parse_spec, steered

        changed = {
            name: number_or_schedule(name, text, of=name)
            for name, text in values.items()
            if text != self._typed[name] and not self._is_the_same(name, text)
        }
        if not changed:
            raise UserError("weights: they are so already")
        before = parse_spec(weights=self._weights, schedules=self._schedules)
        settings = parse_settings({"weights": changed})
        steered(before, 0, weights=settings.weights, schedules=settings.schedules)
        changes = (f"{name} {self._before(name)} → {set_to(name, new)}" for name, new in changed.items())
        return Wanted("set", {"weights": changed}, ", ".join(changes))

    def _before(self, name: str) -> str:
        schedule = self._schedules.get(name)
        return f"{self._weights[name]:g}" if schedule is None else schedule_words(name, schedule)

    def _is_the_same(self, name: str, text: str) -> bool:
        """Whether it says in other words what is so already."""
        return number_or_schedule(name, text, of=name) == self._schedules.get(name, self._weights[name])


def _in_force(run: RunRecord, name: str) -> str:
    weight = f"{run.weights.get(name, 0):g}"
    schedule = run.schedules.get(name)
    return weight if schedule is None else f"{weight}, {schedule_words(name, schedule)}"
