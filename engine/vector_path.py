"""The way from one stored z to another, and what the models made of the points on it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import UserError
from engine.forking import kept_z
from engine.spec import RunSpec, with_changes
from engine.store.reading import Reader
from engine.store.vectors import VectorArray
from engine.tasks import check_task

_PARALLEL = 1e-6
"""Angles below this, in radians, have no arc that could be told from a straight line."""


@dataclass(frozen=True)
class Point:
    """One point of an interpolation."""

    t: float
    """From 0, the first end, to 1, the other one."""
    norm: float
    """L2 norm of its z."""
    cosine_from: float
    """Cosine of its z with the first end."""
    cosine_to: float
    """Cosine of its z with the other end."""
    loss: float | None
    """The loss of the first end's run, with its target; None when it is not finite."""
    similarity: float | None
    """Cosine of the prediction and that encoded target."""
    match: bool
    """Whether the decoded prediction is that target."""
    decoded_z: str
    decoded_prediction: str


@dataclass(frozen=True)
class Plan:
    """What an interpolation computes."""

    ends: tuple[VectorArray, VectorArray]
    """The two z's. # (D,)"""
    spec: RunSpec
    """Target, loss and models: those of the first end's run."""
    points: int
    path: str
    """One of engine.tasks.PATHS"""


def read_plan(reader: Reader, arguments: Mapping[str, Any]) -> Plan:
    """Look up what the arguments of a task `interpolate` name.

    Raises:
        UserError: the arguments are not allowed, a row has no z, or the two are not of the same models.
    """
    arguments = check_task("interpolate", None, arguments)
    runs = [reader.run(arguments[end][0]) for end in ("from", "to")]
    vectors = []
    for run, end in zip(runs, ("from", "to"), strict=True):
        step = arguments[end][1]
        z = kept_z(reader, run, step)
        if z is None:
            raise UserError(f"{end}: run {run.id} has no z stored for step {step}")
        vectors.append(z)
    if runs[0].bundle != runs[1].bundle or vectors[0].size != vectors[1].size:
        raise UserError(
            f"to: run {runs[1].id} is of bundle {runs[1].bundle} ({vectors[1].size} numbers), "
            f"run {runs[0].id} of {runs[0].bundle} ({vectors[0].size})"
        )
    first, last = vectors
    path_between(first, last, 2, arguments["path"])
    spec = with_changes(RunSpec.model_validate_json(runs[0].spec), weights=dict(runs[0].weights), norm="free")
    return Plan((first, last), spec, arguments["points"], arguments["path"])


def path_between(
    first: VectorArray, last: VectorArray, points: int, path: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Points at equal distances of t between two vectors (D,), both ends among them.

    `linear` is the straight line: between directions that differ, the norm is smaller on the way than at the
    ends. `spherical` goes along the arc between the directions, and the norm goes evenly from one to the
    other.

    Returns:
        t of each point (N,), and the points (N, D).

    Raises:
        UserError: `spherical` between opposite directions, or from or to a vector of norm 0.
    """
    t = np.linspace(0, 1, points)
    a, b = first.astype(np.float64), last.astype(np.float64)
    if path == "spherical":
        vectors = _arc(a, b, t[:, np.newaxis])
    else:
        vectors = (1 - t[:, np.newaxis]) * a + t[:, np.newaxis] * b
    found = vectors.astype(np.float32)
    found[0], found[-1] = first, last  # exactly what is stored
    return t, found


def cosine(one: VectorArray, other: VectorArray) -> float:
    """Cosine of two vectors (D,); 0 where one of them is 0."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / norms, -1, 1)) if norms else 0.0


def result_of(points: list[Point]) -> dict[str, Any]:
    """Points as a task's result holds them."""
    return {"points": [asdict(point) for point in points]}


def points_of(result: Mapping[str, Any]) -> list[Point]:
    """The points of a task's result.

    Raises:
        UserError: it does not hold them: another program wrote it.
    """
    try:
        return [Point(**point) for point in result["points"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"interpolation: its result cannot be read: {error}") from None


def _arc(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], t: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not (norm_a and norm_b):
        raise UserError("path: spherical needs two directions, and one of the vectors is 0")
    unit_a, unit_b = a / norm_a, b / norm_b
    angle = float(np.arccos(np.clip(unit_a @ unit_b, -1, 1)))
    if np.pi - angle < _PARALLEL:
        raise UserError("path: spherical: the two point in opposite directions; linear goes between them")
    if angle < _PARALLEL:
        directions = (1 - t) * unit_a + t * unit_b
    else:
        directions = (np.sin((1 - t) * angle) * unit_a + np.sin(t * angle) * unit_b) / np.sin(angle)
    return directions * ((1 - t) * norm_a + t * norm_b)
