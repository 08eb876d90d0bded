"""Cosines between the z's that runs ended with, and to what they started from and were after."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.store.reading import Reader
from engine.store.vectors import VectorArray

REFERENCES = ("init", "target", "context")
"""Kinds of vectors that a final z is compared with, where they are stored."""


@dataclass(frozen=True)
class FinalZ:
    """The last stored z of a run."""

    run: int
    step: int | None
    """None where the run has no vectors."""

    dimension: int | None


@dataclass(frozen=True)
class CosineRow:
    """One vector against the final z of every run."""

    kind: str
    """z, init, target or context"""

    runs: tuple[int, ...]
    """Indexes of the runs whose vector it is; several where they share it."""

    cosines: tuple[float | None, ...]
    """To the final z of each run, −1 to 1; None where one is missing, zero, or of another dimension."""


@dataclass(frozen=True)
class Cosines:
    """The matrix with what it is made of."""

    finals: tuple[FinalZ, ...]
    rows: tuple[CosineRow, ...]
    """The final z of each run that has one, then their inits, targets and contexts."""

    @property
    def dimensions(self) -> dict[int, tuple[int, ...]]:
        """Indexes of the runs by the dimension of their z; more than one: no cosine between them."""
        known = dict.fromkeys(final.dimension for final in self.finals if final.dimension is not None)
        return {
            dimension: tuple(i for i, final in enumerate(self.finals) if final.dimension == dimension)
            for dimension in known
        }


def cosines(reader: Reader, runs: Sequence[int]) -> Cosines:
    """Compare the last stored z of each run with the others', and with inits, targets and contexts."""
    final_steps = [reader.last_vector_step(run, "z") for run in runs]
    finals = [
        None if step is None else reader.vector(run, step, "z")
        for run, step in zip(runs, final_steps, strict=True)
    ]
    rows = [
        CosineRow("z", (index,), tuple(cosine(z, other) for other in finals))
        for index, z in enumerate(finals)
        if z is not None
    ]
    for kind in REFERENCES:
        shared: dict[bytes, tuple[VectorArray, list[int]]] = {}
        for index, run in enumerate(runs):
            vector = reader.vector(run, 0, kind)
            if vector is not None:
                shared.setdefault(vector.tobytes(), (vector, []))[1].append(index)
        rows += [
            CosineRow(kind, tuple(indexes), tuple(cosine(vector, other) for other in finals))
            for vector, indexes in shared.values()
        ]
    described = [
        FinalZ(run, step, None if z is None else len(z))
        for run, step, z in zip(runs, final_steps, finals, strict=True)
    ]
    return Cosines(tuple(described), tuple(rows))


def cosine(first: VectorArray | None, second: VectorArray | None) -> float | None:
    """Cosine of two vectors (D,), computed in float64; None where there is none."""
    import numpy as np

    if first is None or second is None or first.shape != second.shape:
        return None
    one, other = first.astype(np.float64), second.astype(np.float64)
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    value = float(one @ other) / norms if norms else np.nan
    return min(max(value, -1.0), 1.0) if np.isfinite(value) else None
