"""What decoding every step costs the steps, which go on meanwhile."""

import statistics
import time

import torch

from benchmarks.random_models import RandomBundle
from engine.ahead import Ahead
from engine.fast.alone import ALONE
from engine.optimizer import Optimization
from engine.spec import RunSpec

TOKENS = 20
"""That each decoded text has at most; random models say no less."""

_NEVER = 10_000_000
_WARM_UP = 64
"""Several batches of rows: until what decodes them is captured."""


def slow_down(
    bundle: RandomBundle, steps: int, *, runs: int = 1, beam: int = 5, tokens: int = TOKENS
) -> tuple[float, float]:
    """Milliseconds from one row to the next: nothing decoded, and z and prediction of every row decoded.

    Args:
        bundle: the models.
        steps: that are measured.
        runs: that are stepped together.
        beam: of the search.
        tokens: that each text has at most.
    """
    plain, decoding = (
        _row_ms(bundle, steps, decode_every=every, runs=runs, beam=beam, tokens=tokens)
        for every in (_NEVER, 1)
    )
    return plain, decoding


def warm_up(search: Ahead) -> None:
    """Go on until rows come as fast as they will."""
    for _ in range(_WARM_UP):
        search.advance()


def _row_ms(
    bundle: RandomBundle, steps: int, *, decode_every: int, runs: int, beam: int, tokens: int
) -> float:
    """The mean of the steps that are made in the meantime: rows come as their texts do, several at a time."""
    specs = [
        RunSpec(
            target=f"Target {run}.",
            steps=_NEVER,
            decode_every=decode_every,
            beam=beam,
            max_decoded_tokens=tokens,
            measures="quick",
        )
        for run in range(runs)
    ]
    optimization = Optimization(specs, bundle)
    search = Ahead(optimization)
    warm_up(search)
    _wait(bundle.device)
    began, first = time.perf_counter(), optimization.next_step(0)
    for _ in range(steps):
        search.advance()
    elapsed_ms = (time.perf_counter() - began) * 1e3
    made = optimization.next_step(0) - first
    search.close()
    return elapsed_ms / made


def host_ms(bundle: RandomBundle, *, runs: int, steps: int) -> float:
    """Median milliseconds a step that the host is at work, the device aside: launching, and making rows."""
    optimization = Optimization(
        [RunSpec(target=f"Target {run}.", steps=_NEVER, decode_every=_NEVER) for run in range(runs)], bundle
    )
    optimization.advance(decodes=False)
    optimization.advance(decodes=False)
    times_ms = []
    for _ in range(steps):
        _wait(bundle.device)
        began = time.perf_counter()
        optimization.copy_of_all()
        launched = optimization.launch(decodes=False)
        launched_s = time.perf_counter() - began
        _wait(bundle.device)
        began = time.perf_counter()
        optimization.rows(launched, None)
        times_ms.append((launched_s + time.perf_counter() - began) * 1e3)
    return statistics.median(times_ms)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        with ALONE:  # while a thread captures what it does, nobody may wait for the whole device
            torch.cuda.synchronize(device)
