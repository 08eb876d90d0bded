"""Who has the models compute is alone with them, whoever it is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from engine.fast.alone import ALONE
from engine.fast.decoder import FastDecoder
from engine.fast.generator import FastGenerator
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization
from engine.population.search import PopulationSearch
from engine.search import Search
from engine.spec import RunSpec
from tests.engine.test_population import population
from tests.engine.toy import toy_bundle, toy_spec

COMPUTES = (
    (FastGenerator, "__call__"),
    (FastDecoder, "__call__"),
    (FastDecoder, "beginning"),
    (torch.autograd, "grad"),
)


def _is_free() -> bool:
    if free := ALONE.acquire(blocking=False):
        ALONE.release()
    return free


def _rows(kind: Callable[[list[RunSpec], LoadedBundle], Search], spec: RunSpec, bundle: LoadedBundle) -> None:
    search = kind([spec], bundle)
    while not search.done:
        search.advance()


def _interpolation(bundle: LoadedBundle) -> None:
    """A point of it, as engine.work.interpolation works it out."""
    objective = Optimization([toy_spec()], bundle)
    with torch.no_grad():
        evaluation = objective.evaluate(torch.full((1, bundle.dim), 0.1))
    objective.decode(evaluation, [0])


READING = {"weights": {"ce": 1.0, "fluency": 0.5}, "read_every": 2, "decode_every": 1, "steps": 3}

WORK: dict[str, Callable[[LoadedBundle], None]] = {
    "steps and their texts": lambda bundle: _rows(Optimization, toy_spec(**READING), bundle),
    "a population": lambda bundle: _rows(PopulationSearch, population(steps=1), bundle),
    "an interpolation": _interpolation,
}


@pytest.mark.parametrize("work", WORK)
def test_nobody_else_computes_meanwhile(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one encodes, products of another would be less precise, and change a run for good."""
    seen: dict[str, bool] = {}
    with ThreadPoolExecutor(max_workers=1) as another:

        def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def watching(*arguments: Any, **more: Any) -> Any:
                seen[name] = seen.get(name, False) or another.submit(_is_free).result()
                return function(*arguments, **more)

            return watching

        for where, name in COMPUTES:
            function = getattr(where, name)
            monkeypatch.setattr(where, name, watched(f"{where.__name__}.{name}", function))
        WORK[work](toy_bundle())
    assert {"FastGenerator.__call__", "FastDecoder.__call__", "FastDecoder.beginning"} <= seen.keys()
    assert not any(seen.values()), seen
