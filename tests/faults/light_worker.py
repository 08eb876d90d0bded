"""A worker whose models are a formula: the real loop, recorder and heart, without the seconds of loading."""

import hashlib
import sys
import time
from collections.abc import Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

import engine.environment
from engine.spec import RunSpec, with_changes
from engine.steps.step import Step

_STEP_S = 0.01
_DIMENSION = 64


class Formula:
    """Takes the place of engine.optimizer.Optimization, for one run."""

    def __init__(self, specs: Sequence[RunSpec], bundle: object, *, initial: object = None) -> None:
        self.specs = list(specs)
        self.raw_initial_z = np.ones((1, _DIMENSION), np.float32)
        self.target_vector = np.zeros((1, _DIMENSION), np.float32)
        self.done = False
        self._step = 0
        self._lr = specs[0].lr

    def next_step(self, run: int) -> int:
        return self._step

    def hold(self, run: int, is_held: bool = True) -> None:
        """A run that is paused is not advanced."""

    def take_spec(self, run: int, spec: RunSpec) -> None:
        self.specs[run], self._lr = spec, spec.lr

    def repeat(self, run: int, *, lr: float, weights: Mapping[str, float]) -> None:
        self._lr = lr

    def extend(self, run: int, steps: int) -> None:
        self.specs[run] = with_changes(self.specs[run], steps=steps)

    def state_bytes(self, run: int) -> bytes:
        return str(self._step).encode()

    def restore(self, run: int, state: bytes) -> None:
        self._step = int(state)

    def advance(self) -> list[Step]:
        time.sleep(_STEP_S)
        k = self._step
        is_last = k == self.specs[0].steps
        self.done, self._step = is_last, k + (not is_last)
        loss = 3.0 / (k + 1)
        return [
            Step(
                step=k,
                loss=loss,
                terms={"ce": loss},
                weights={"ce": 1.0},
                similarity=0.1,
                grad_norm=1.0,
                z_norm=1.0,
                lr=None if is_last else self._lr,
                elapsed_ms=1.0,
                z=np.full(_DIMENSION, k, np.float32),
                prediction=np.zeros(_DIMENSION, np.float32),
                state_hash=hashlib.blake2b(str(k).encode(), digest_size=8).hexdigest(),
                decoded_z=None,
                decoded_prediction=None,
                match=None,
                sentences=(),
                measures={},
                reread_prediction=None,
                token_losses=None,
            )
        ]


class _Device(str):
    """As much of a torch.device as is looked at."""

    type = "cpu"


def load_bundle(name: str, *, device: str, **how: object) -> Any:
    """Takes the place of engine.models.loading.load_bundle."""
    return SimpleNamespace(digest="0" * 64, device=_Device(device))


def _take_the_place_of(name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module


_take_the_place_of("engine.optimizer", Optimization=Formula)
_take_the_place_of("engine.ahead", Ahead=Formula, runs_ahead_on=lambda device: False)
_take_the_place_of("engine.models.loading", load_bundle=load_bundle)
engine.environment._processor = lambda: {"device": "a formula"}
