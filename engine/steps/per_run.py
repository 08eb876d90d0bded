"""Numbers of N runs, on their way to a device."""

from collections.abc import Sequence

import torch
from torch import Tensor


def per_run(values: Sequence[float], device: torch.device, dtype: torch.dtype = torch.float64) -> Tensor:
    """A number of each run. # (N, 1)"""
    return to_device(torch.tensor(values, dtype=dtype).unsqueeze(-1), device)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Values of the host, for what is launched next: nobody waits for the device to come to it."""
    pinned = values.pin_memory() if device.type == "cuda" else values
    return pinned.to(device, non_blocking=True)
