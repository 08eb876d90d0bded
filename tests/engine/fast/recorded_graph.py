"""A stand-in for a CUDA graph on the CPU: it records tensor operations and does them again, in their places.

Like a graph it runs no Python on replay, reads and writes the tensors that it saw, and refuses whatever the
host would have to wait for.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

Result = TypeVar("Result")

READ_BY_THE_HOST = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")


class HostReadError(AssertionError):
    """A captured function asked the host to read a value."""


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, Any, Any, list[Any]]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket.__name__ in READ_BY_THE_HOST:
            raise HostReadError(function.overloadpacket.__name__)
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, tree_flatten(result)[0]))
        return result


class RecordedGraphs:
    """Counts what is captured and replayed."""

    def __init__(self) -> None:
        self.captures = 0
        self.replays = 0
        self.shared = 0
        """Captures that work in the memory of another."""

    def __call__(
        self, function: Callable[[], Result], beside: Callable[[], None] | None = None
    ) -> tuple[Callable[[], None], Result]:
        """As engine.fast.graph.Capture, but that capturing does it once: so the first replay does nothing."""
        self.captures += 1
        self.shared += beside is not None
        recording = _Recording()
        with recording:
            result = function()
        replays = iter(range(1_000_000))

        def replay() -> None:
            self.replays += 1
            if next(replays):
                _do_again(recording.operations)

        return replay, result


def _do_again(operations: list[tuple[Any, Any, Any, list[Any]]]) -> None:
    with torch.no_grad():
        for function, args, kwargs, results in operations:
            inputs = {_storage(each) for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)}
            again = tree_flatten(function(*args, **kwargs))[0]
            for old, new in zip(results, again, strict=True):
                if isinstance(old, Tensor) and _storage(old) not in inputs:  # neither a view nor in place
                    old.copy_(new)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
