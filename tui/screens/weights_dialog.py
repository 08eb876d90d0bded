"""The dialog that changes the weights of the loss terms."""

from collections.abc import Mapping
from typing import ClassVar

from engine.errors import UserError
from engine.objective import TERMS
from engine.store.records import RunRecord
from tui.requests import Requests
from tui.screens.dialog import Dialog, DialogField, Values, Wanted


class WeightsDialog(Dialog):
    """Every loss term with its weight in force; only what differs is asked for."""

    title_words: ClassVar[str] = "weights of the loss terms"
    accept_words: ClassVar[str] = "sets them"

    def __init__(self, run: RunRecord, requests: Requests, proposed: Mapping[str, float]) -> None:
        """`proposed`: the weights that the run will have once all that is pending is done."""
        fields = [
            DialogField(
                name,
                name,
                f"{proposed.get(name, 0):g}",
                f"in force {run.weights.get(name, 0):g}; {term.description}",
            )
            for name, term in TERMS.items()
        ]
        super().__init__(run, requests, fields)
        self._before = {name: float(proposed.get(name, 0)) for name in TERMS}

    def prepare(self) -> None:
        """Import what checks a weight."""
        from engine import spec  # noqa: F401

    def check(self, values: Values) -> Wanted:
        """The weights that differ from those in force."""
        from engine.spec import parse_spec

        weights = parse_spec(weights=dict(values)).weights
        changed = {name: weight for name, weight in weights.items() if weight != self._before[name]}
        if not changed:
            raise UserError("weights: they are so already")
        changes = (f"{name} {self._before[name]:g} → {weight:g}" for name, weight in changed.items())
        return Wanted("set", {"weights": changed}, ", ".join(changes))
