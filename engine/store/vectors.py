"""Vectors as bytes: float32, little-endian."""

import numpy as np
import numpy.typing as npt

VectorArray = npt.NDArray[np.float32]
"""float32 (D,)"""


def pack(vector: VectorArray) -> bytes:
    """The bytes that are stored for a vector (D,)."""
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def unpack(data: bytes) -> VectorArray:
    """The vector (D,) of stored bytes."""
    return np.frombuffer(data, dtype="<f4").astype(np.float32)
