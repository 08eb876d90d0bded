"""What several runs were asked for and ran on, field by field, and where they differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.store.records import RunRecord

_IN_FORCE = {"weights in force": "weights", "lr in force": "lr"}
"""Fields that are only worth a row where one was changed while a run went on, and what was asked for."""

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Field:
    """One field with its value in each run."""

    name: str
    values: tuple[Value, ...]
    """In the order of the runs; None where a run has none."""

    @property
    def differs(self) -> bool:
        """Whether the runs do not agree."""
        return len(set(self.values)) > 1

    @property
    def groups(self) -> list[tuple[Value, tuple[int, ...]]]:
        """Each value with the indexes of the runs that have it, in the order of the runs."""
        return [
            (value, tuple(index for index, other in enumerate(self.values) if other == value))
            for value in dict.fromkeys(self.values)
        ]


def fields(runs: Sequence[RunRecord]) -> list[Field]:
    """All fields: those of the spec, the models' digest, the device, the environment; what differs first."""
    columns, defaults = [_values(run) for run in runs], _defaults()
    names = dict.fromkeys(name for column in columns for name in column)
    table = [
        Field(name, tuple(column.get(name, defaults.get(name)) for column in columns))
        for name in names
        if name not in _IN_FORCE or any(column[name] != column[_IN_FORCE[name]] for column in columns)
    ]
    return sorted(table, key=lambda field: not field.differs)


def _values(run: RunRecord) -> dict[str, Value]:
    """A run's fields in the order in which they are shown, by their names in words."""
    from engine.spec import RunSpec

    defaults = RunSpec().model_dump(mode="json")
    spec = defaults | json.loads(run.spec)
    options, schedules = spec.pop("options"), spec.pop("schedules")
    asked: dict[str, Value] = {_in_words(name): _plain(value) for name, value in spec.items()}
    asked |= {"init": run.init, "weights": _weights(spec["weights"])}
    asked |= {f"schedule of {name}": _schedule(name, text) for name, text in schedules.items()}
    asked |= {_in_words(name): _plain(value) for name, value in options.items()}
    in_force: dict[str, Value] = {"weights in force": _weights(run.weights), "lr in force": run.lr}
    models: dict[str, Value] = {"digest of models": run.bundle_digest, "ran on": run.device}
    environment = {f"environment: {name}": value for name, value in (run.environment or {}).items()}
    forked = None if run.parent_run is None else f"run {run.parent_run}, step {run.parent_step}"
    return {**asked, "origin": run.origin, "forked from": forked, **in_force, **models, **environment}


def _in_words(name: str) -> str:
    """`read every` for a field, `noise copies` for an option."""
    return name.replace("_", " ").replace(".", " ")


def _defaults() -> dict[str, Value]:
    """What is meant where a run names no value of an option."""
    from engine.options import OPTIONS

    return {_in_words(name): _plain(option.default) for name, option in OPTIONS.items()}


def _schedule(name: str, text: str) -> str:
    from engine.schedule import parse_schedule

    try:
        return parse_schedule(text, of=name).describe()
    except ValueError:  # of another version
        return text


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{term}={weight:g}" for term, weight in weights.items() if weight)


def _plain(value: object) -> Value:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return " / ".join(value) or None
    return json.dumps(value, ensure_ascii=False) if value else None
