"""Every optimiser by its name; a new one is a file and an entry."""

from collections.abc import Mapping

from engine.optimizers import adam, adamw, lbfgs, sgd
from engine.optimizers.entry import Optimizer

OPTIMIZERS: Mapping[str, Optimizer] = {
    optimizer.name: optimizer
    for optimizer in (adam.OPTIMIZER, adamw.OPTIMIZER, sgd.OPTIMIZER, lbfgs.OPTIMIZER)
}
"""Every optimiser by its name. The names, descriptions and options are read without torch."""
