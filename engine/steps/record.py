"""The numbers of a step: what the rows of its runs are made of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.fast.transfer import Transfer
from engine.steps.step import Vector
from engine.tokens import TARGET_CONTROL_TOKENS


@dataclass(frozen=True)
class Measured:
    """Values of N runs by name, on their device, side by side: one transfer brings them to the host."""

    packed: Tensor
    """Their bits, as float32. # (N, R)"""

    parts: tuple[tuple[str, tuple[int, ...], bool], ...]
    """Name, shape and whether it is float64, of each."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor | None]) -> Self:
        """Pack copies of float32 and float64 tensors (N, …); those that are None are left out."""
        given = {name: tensor.detach() for name, tensor in tensors.items() if tensor is not None}
        packed = torch.cat([tensor.flatten(1).view(torch.float32) for tensor in given.values()], dim=-1)
        parts = [(name, tuple(tensor.shape), tensor.dtype == torch.float64) for name, tensor in given.items()]
        return cls(packed, tuple(parts))

    def sent(self) -> "Sent":
        """Send the values, as they are now, to the host."""
        return Sent(Transfer(self.packed), self.parts)


@dataclass(frozen=True)
class Sent:
    """Values that are on their way to the host."""

    transfer: Transfer

    parts: tuple[tuple[str, tuple[int, ...], bool], ...]
    """As they were packed."""

    def record(self) -> "Record":
        """Wait for the values."""
        packed, values, first = self.transfer.wait(), {}, 0
        for name, shape, is_double in self.parts:
            last = first + math.prod(shape[1:]) * (2 if is_double else 1)
            bits = packed[:, first:last].copy()  # aligned, and in one piece
            values[name] = (bits.view(np.float64) if is_double else bits).reshape(shape)
            first = last
        return Record(values)


@dataclass(frozen=True)
class Record:
    """Values of N runs by name, on the host. # (N, …)"""

    values: Mapping[str, NDArray[Any]]

    def number(self, run: int, name: str) -> float:
        """A run's one number."""
        return float(self.values[name][run].item())

    def numbers(self, run: int, name: str) -> list[float]:
        """A run's several numbers."""
        return [float(value) for value in self.values[name][run]]

    def vector(self, run: int, name: str) -> Vector:
        """A run's vector. # (D,)"""
        vector: Vector = self.values[name][run].astype(np.float32)
        return vector

    def is_finite(self, run: int) -> bool:
        """Whether nothing of the run is infinite or not a number."""
        return all(np.isfinite(values[run]).all() for values in self.values.values())

    def token_losses(self, run: int, tokens: Sequence[int]) -> list[tuple[float, ...]]:
        """Cross-entropy of each token that is to be predicted, by target sentences, without padding.

        Args:
            run: index of the run.
            tokens: each sentence's own tokens.
        """
        values = self.values["token_losses"][run]  # (M, T)
        predicted = TARGET_CONTROL_TOKENS - 1  # of the control symbols: the first one is fed
        return [tuple(row[: count + predicted].tolist()) for row, count in zip(values, tokens, strict=False)]

    def state_hash(self, run: int, names: Sequence[str], step: int) -> str:
        """16 hexadecimal characters of the SHA-256 of some float32 values of the run and its step."""
        hasher = sha256()
        for name in names:
            hasher.update(np.ascontiguousarray(self.values[name][run], np.float32).data)
        hasher.update(step.to_bytes(8, "little"))
        return hasher.hexdigest()[:16]
