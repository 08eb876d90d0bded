"""Every option of a loss term, a constraint, an optimiser or the population search, by its full name."""

from collections.abc import Mapping

from engine.objective import CONSTRAINTS, TERMS
from engine.objective.option import Option, Value, full_names
from engine.optimizers import OPTIMIZERS
from engine.population.options import NAME, POPULATION_OPTIONS

OPTIONS: Mapping[str, Option] = full_names(
    {name: entry.options for entries in (TERMS, CONSTRAINTS, OPTIMIZERS) for name, entry in entries.items()}
    | {NAME: POPULATION_OPTIONS}
)
"""Every option by its full name, as in `noise.copies`."""


def check_option(name: str, value: object) -> Value:
    """Return what is stored for the value of an option, or raise a ValueError that says what is allowed."""
    if name not in OPTIONS:
        raise ValueError(f"no option {name!r}; there are {', '.join(OPTIONS)}")
    try:
        return OPTIONS[name].check(value)
    except ValueError as error:
        raise ValueError(f"{name}={value!r:.60}: {error}") from None
