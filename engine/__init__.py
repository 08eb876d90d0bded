"""Optimise a SONAR sentence embedding until the model's predicted next sentence is the one you want.

    from engine import RunSpec, load_bundle, optimize

    for step in optimize(RunSpec(), load_bundle("mini")):
        print(step.step, step.loss, step.decoded_prediction)

The names are imported on first use: `import engine` alone loads neither torch nor any model, because the
viewer imports this package too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.errors import UserError
    from engine.models.loading import LoadedBundle, load_bundle
    from engine.search import optimize
    from engine.spec import RunSpec
    from engine.steps.step import Step

__version__ = "0.1.0"
__all__ = ["LoadedBundle", "RunSpec", "Step", "UserError", "load_bundle", "optimize"]

_HOMES = {
    "LoadedBundle": "engine.models.loading",
    "RunSpec": "engine.spec",
    "Step": "engine.steps.step",
    "UserError": "engine.errors",
    "load_bundle": "engine.models.loading",
    "optimize": "engine.search",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
