"""The way of a step's numbers to the host."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


class Transfer:
    """A copy of a tensor, as it is now, on its way to the host: nobody waits until it is asked for."""

    def __init__(self, values: Tensor) -> None:
        """Set out, after what was launched on the current stream before."""
        self._arrived: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record(torch.cuda.current_stream(values.device))  # type: ignore[no-untyped-call]
        else:
            self._values = values.clone()

    @property
    def has_arrived(self) -> bool:
        """Whether `wait` would return at once."""
        return self._arrived is None or bool(self._arrived.query())  # type: ignore[no-untyped-call]

    def wait(self) -> NDArray[Any]:
        """Wait for the values."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values.numpy()
