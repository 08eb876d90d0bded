"""The stored vectors that are nearest to the z of a row, by cosine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.vectors import VectorArray

KINDS = ("z", "prediction", "init", "target")
"""What is stored of a run."""

_CHUNK = 2048
"""Vectors that are in memory at a time: 8 MiB of 1,024 numbers."""


@dataclass(frozen=True)
class Neighbour:
    """A stored vector and how near it is."""

    run: int
    session: str
    number: int
    """Number of the run within its session."""
    step: int
    """Its row; for init and target the run's first one."""
    kind: str
    """One of KINDS."""
    cosine: float
    text: str | None
    """What it stands for: the text that is decoded from it, or the sentence that it encodes."""
    text_step: int
    """The row that the text was decoded in: an earlier one where this row was not decoded."""


@dataclass(frozen=True)
class _Hit:
    cosine: float
    run: int
    step: int
    kind: str


def nearest(
    reader: Reader,
    run_id: int,
    step: int,
    *,
    kinds: Sequence[str] = KINDS,
    limit: int = 20,
    one_per_run: bool = True,
    go_on: Callable[[int], bool] = lambda compared: True,
) -> list[Neighbour]:
    """Compare the z of a row with every vector of the same dimension that runs of its bundle have stored.

    Args:
        reader: Of the database.
        run_id: The run of the row.
        step: The row.
        kinds: Which kinds of vectors to compare with.
        limit: How many to return at most.
        one_per_run: Of each run only the nearest.
        go_on: Called before each chunk with the number of vectors that have been compared; False ends it.

    Returns:
        The nearest first; the row itself is left out. Of those that were compared, where `go_on` ended it.

    Raises:
        UserError: there is no such run, a kind is unknown, or the z of the row is not kept.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UserError(f"kind: {unknown[0]!r}: allowed are {', '.join(KINDS)}")
    run = reader.run(run_id)
    z = reader.vector(run_id, step, "z")
    if z is None:
        raise UserError(f"step: {step}: run {run_id} has no z stored for it")
    hits: list[_Hit] = []
    compared = 0
    for keys, vectors in reader.vector_chunks(run.bundle, z.size, kinds, _CHUNK):
        if not go_on(compared):
            break
        cosines = _cosines(vectors, z)
        if (run_id, step, "z") in keys:
            cosines[keys.index((run_id, step, "z"))] = -np.inf
        hits = _best(hits, _hits(keys, cosines, limit, one_per_run), limit, one_per_run)
        compared += len(keys)
    return [_neighbour(reader, hit) for hit in hits]


def _cosines(vectors: npt.NDArray[np.float32], z: VectorArray) -> npt.NDArray[np.float32]:
    """Cosine of each vector (N, D) with z (D,); -inf where there is none. # (N,)"""
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors)) * np.linalg.norm(z)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (vectors @ z) / norms
    return np.where(np.isfinite(cosines), cosines, -np.inf).astype(np.float32)


def _hits(
    keys: Sequence[tuple[int, int, str]],
    cosines: npt.NDArray[np.float32],
    limit: int,
    one_per_run: bool,
) -> list[_Hit]:
    """Those of a chunk that can be among the nearest, the nearest first."""
    hits: list[_Hit] = []
    runs: set[int] = set()
    for index in np.argsort(-cosines, kind="stable").tolist():
        run, step, kind = keys[index]
        if cosines[index] == -np.inf or len(hits) == limit:
            break
        if not (one_per_run and run in runs):
            runs.add(run)
            hits.append(_Hit(float(cosines[index]), run, step, kind))
    return hits


def _best(hits: list[_Hit], others: list[_Hit], limit: int, one_per_run: bool) -> list[_Hit]:
    ordered = sorted([*hits, *others], key=lambda hit: -hit.cosine)
    if one_per_run:
        nearest_of_run: dict[int, _Hit] = {}
        for hit in ordered:
            nearest_of_run.setdefault(hit.run, hit)
        ordered = list(nearest_of_run.values())
    return ordered[:limit]


def _neighbour(reader: Reader, hit: _Hit) -> Neighbour:
    run = reader.run(hit.run)
    step, text, text_step = hit.step, None, hit.step
    if hit.kind in ("init", "target"):
        first = reader.steps(hit.run, limit=1)
        step = text_step = first[0].step if first else 0
        text = run.init if hit.kind == "init" else run.target
    elif decoded := reader.decoded_before(hit.run, hit.step):
        text_step = decoded.step
        text = decoded.decoded_z if hit.kind == "z" else decoded.decoded_prediction
    return Neighbour(hit.run, run.session, run.number, step, hit.kind, min(hit.cosine, 1.0), text, text_step)
