"""What the card of a CUDA device is doing, from NVIDIA's management library.

It asks the driver and not CUDA: no context is made, no stream waits, and what other programs use counts too.
"""

from typing import Any, Self

import pynvml

from engine.errors import UserError
from engine.store.records import CardFigures


class Card:
    """One card."""

    def __init__(self, uuid: str) -> None:
        """Find a card by the driver's name for it, `GPU-…`.

        Raises:
            UserError: the driver's library is not there, or does not know the card.
        """
        try:
            pynvml.nvmlInit()
            self._handle: Any = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except pynvml.NVMLError as error:
            raise UserError(f"card: {uuid}: memory and load are not known: {error}") from error

    @classmethod
    def of_device(cls, device: str) -> Self:
        """The card that CUDA calls by this name, `cuda:N`; CUDA is in use in this process.

        CUDA and the driver number cards differently, above all where CUDA_VISIBLE_DEVICES hides some.
        """
        import torch

        return cls(f"GPU-{torch.cuda.get_device_properties(device).uuid}")

    def figures(self) -> CardFigures | None:
        """The card now; None when the driver does not answer."""
        try:
            memory = pynvml.nvmlDeviceGetMemoryInfo(self._handle)
            name = pynvml.nvmlDeviceGetName(self._handle)
        except pynvml.NVMLError:
            return None
        return CardFigures(name, memory.used, memory.total, self._utilisation())

    def _utilisation(self) -> int | None:
        try:
            return int(pynvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        except pynvml.NVMLError:  # a part of a shared card has none of its own
            return None
