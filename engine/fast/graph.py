"""A step captured once and replayed: one launch in place of some thousand, none of which waits for the host.

A captured step reads and writes the same places in memory each time. So whatever changes from step to step
lies in tensors that are written in place, and whatever the course of the step depends on besides is its
`course`: with another one it is captured anew.
"""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, Protocol, TypeVar

import torch

from engine.fast.alone import ALONE

Result = TypeVar("Result")

Replay = Callable[[], None]
"""Does again what was captured, to the same tensors."""


class Capture(Protocol):
    """Captures what a function does."""

    def __call__(self, function: Callable[[], Result]) -> tuple[Replay, Result]:
        """Return the replay, and the function's result, whose tensors a replay fills: nothing is done yet."""


def capture_on(device: torch.device, of: str = "steps") -> Capture | None:
    """How a step is captured on a device; None where there is no such thing.

    Args:
        device: that does it.
        of: what is captured. Replays of the same never run at the same time.
    """
    return _CudaCapture(device, of) if device.type == "cuda" else None


class _CudaCapture:
    """Captures on a stream that is only for this.

    Matrix products find the memory that they work in, flags among it, by the stream that they are captured
    on: of two graphs that run at the same time and share it, each may wait for the other for ever.
    """

    def __init__(self, device: torch.device, of: str) -> None:
        self._device, self._of = device, of

    def __call__(self, function: Callable[[], Result]) -> tuple[Replay, Result]:
        graph, stream = torch.cuda.CUDAGraph(), _capture_stream(self._device, self._of)
        # Other threads may go on using the card: what they do is not captured, and no reason to give up.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            result = function()
        return graph.replay, result


@cache
def _capture_stream(device: torch.device, of: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


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
            with ALONE:
                return function()
        if self._captured is None:
            with ALONE:
                self._captured = self._capture(function)
        replay, result = self._captured
        replay()
        filled: Result = result
        return filled
