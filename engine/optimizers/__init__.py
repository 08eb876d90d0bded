"""The optimisers: each an entry of a registry and a file of its own, written for N runs at once."""

from engine.optimizers.clipping import clip
from engine.optimizers.entry import Optimizer
from engine.optimizers.registry import OPTIMIZERS

__all__ = ["OPTIMIZERS", "Optimizer", "clip"]
