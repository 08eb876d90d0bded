"""A step captured once and replayed: one launch in place of some thousand, none of which waits for the host.

A captured step reads and writes the same places in memory each time. So whatever changes from step to step
lies in tensors that are written in place, and whatever the course of the step depends on besides is its
`course`: with another one it is captured anew.
"""

from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

import torch

Result = TypeVar("Result")

Replay = Callable[[], None]
"""Does again what was captured, to the same tensors."""


class Capture(Protocol):
    """Captures what a function does."""

    def __call__(self, function: Callable[[], Result]) -> tuple[Replay, Result]:
        """Return the replay, and the function's result, whose tensors a replay fills: nothing is done yet."""


def capture_on(device: torch.device) -> Capture | None:
    """How a step is captured on a device; None where there is no such thing."""
    return _cuda_capture if device.type == "cuda" else None


def _cuda_capture(function: Callable[[], Result]) -> tuple[Replay, Result]:
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on using the card: what they do is not captured, and no reason to give up.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = function()
    return graph.replay, result


class Repeated:
    """What is done again and again: plainly, or by a replay."""

    def __init__(self, capture: Capture | None) -> None:
        """Args:
        capture: None: always plainly.
        """
        self._capture = capture
        self._course: Hashable | None = None
        self._captured: tuple[Replay, Any] | None = None

    def __call__(self, function: Callable[[], Result], *, course: Hashable | None) -> Result:
        """Do what a function does.

        The first time of a course it is done plainly, for kernels prepare themselves when they first run; the
        second time it is captured.

        Args:
            function: the same for equal courses. Its result is overwritten by the next call.
            course: None where it cannot be captured.
        """
        if self._capture is None or course is None or course != self._course:
            # Whatever was captured goes first: it holds as much memory as a step takes.
            self._course, self._captured = course, None
            return function()
        if self._captured is None:
            self._captured = self._capture(function)
        replay, result = self._captured
        replay()
        filled: Result = result
        return filled
