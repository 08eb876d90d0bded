"""What the process holds off which workers are forked: all that a worker imports, and models, loaded.

It makes no step itself: a process that has started threads for its computations cannot be forked.
"""

import torch

import engine.ahead
import engine.optimizer
import engine.work.interpolation
import engine.work.verification
import engine.worker
from engine.bundles import find_bundle
from engine.fast import inductor
from engine.models import loading
from tests.engine.toy import toy_bundle

_TOY_MODELS = toy_bundle()

loading.load_bundle("mini", device="cpu")


def serve(arguments: list[str], *, with_toy_models: bool, runs_ahead: bool) -> int:
    """What a worker's process does; the toy models are called `mini` too."""
    if runs_ahead:
        engine.ahead.runs_ahead_on = lambda device: True
    if with_toy_models:
        cpu = torch.device("cpu")
        loading._loaded[find_bundle("mini"), cpu, cpu, torch.float32] = _TOY_MODELS
        inductor.BACKEND = "aot_eager"  # compiles without a compiler
    return engine.worker.main(arguments)
