"""Vectors as bytes: float32, little-endian."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    VectorArray = npt.NDArray[np.float32]
    """float32 (D,)"""
else:  # numpy takes a fifth of a second, for which nobody waits who reads no vectors
    VectorArray = Any


def pack(vector: VectorArray) -> bytes:
    """The bytes that are stored for a vector (D,)."""
    import numpy as np

    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def unpack(data: bytes) -> VectorArray:
    """The vector (D,) of stored bytes."""
    import numpy as np

    return np.frombuffer(data, dtype="<f4").astype(np.float32)
