"""The objective: loss terms and constraints, each an entry of a registry and a file of its own."""

from engine.objective.registry import CONSTRAINTS, TERMS
from engine.objective.term import Term

__all__ = ["CONSTRAINTS", "TERMS", "Term"]
