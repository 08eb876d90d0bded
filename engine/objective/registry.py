"""Every loss term, constraint and option by its name: found in the files of two folders."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

from engine.objective import constraints, terms
from engine.objective.constraint import Constraint
from engine.objective.term import Term


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(package.__path__):
        yield import_module(f"{package.__name__}.{module.name}")


def _terms() -> dict[str, Term]:
    found: list[Term] = [module.TERM for module in _modules(terms)]
    return {term.name: term for term in sorted(found, key=lambda term: (term.about, term.name))}


def _constraints() -> dict[str, Constraint]:
    found: list[Constraint] = [module.CONSTRAINT for module in _modules(constraints)]
    return {constraint.name: constraint for constraint in found}


TERMS: Mapping[str, Term] = _terms()
"""Every loss term by its name: those about the prediction first."""

CONSTRAINTS: Mapping[str, Constraint] = _constraints()
"""Every constraint by its name."""
