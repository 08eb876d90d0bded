"""The numbers of a step on the host: what the rows of its runs are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.step import Vector
from engine.tokens import TARGET_CONTROL_TOKENS


@dataclass(frozen=True)
class Record:
    """Values of N runs by name. # (N, …)"""

    values: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor | None]) -> Self:
        """Copy tensors (N, …) to the host, all in one transfer; those that are None are left out."""
        parts = {name: tensor.detach() for name, tensor in tensors.items() if tensor is not None}
        ends = list(accumulate(part[0].numel() for part in parts.values()))
        # float64, the precision of lr, holds the float32 values exactly.
        packed = torch.cat([part.flatten(1).double() for part in parts.values()], dim=-1).cpu().numpy()
        pieces = np.split(packed, ends[:-1], axis=-1)
        return cls(
            {
                name: piece.reshape(tuple(part.shape))
                for (name, part), piece in zip(parts.items(), pieces, strict=True)
            }
        )

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
        state = b"".join(self.values[name][run].astype(np.float32).tobytes() for name in names)
        return sha256(state + step.to_bytes(8, "little")).hexdigest()[:16]
