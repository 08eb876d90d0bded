"""The trajectories of several runs in the plane in which all their z's together vary most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.store.reading import Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_POINTS = 600
"""Vectors that the plane is made from; what is more is thinned evenly, each run alike."""

_ROUNDING = 1e-12
"""What equal vectors differ from their mean by, relative to them."""


@dataclass(frozen=True)
class Path:
    """One trajectory in the plane."""

    run: int
    steps: tuple[int, ...]
    """The rows that are shown: the first and the last stored z, and evenly chosen ones between."""

    x: tuple[float, ...]
    """Coordinates along the first principal component, in the units of z."""

    y: tuple[float, ...]


@dataclass(frozen=True)
class Plane:
    """All trajectories in one plane."""

    paths: tuple[Path, ...]
    """One for each run, without points where the run is not part of it."""

    dimension: int | None
    """Of the vectors that it is made from; None where there are none."""

    explained: tuple[float, float] | None
    """Shares of the whole variance along x and y; None where the vectors do not vary at all."""

    left_out: tuple[int, ...]
    """Indexes of runs whose vectors have another dimension."""


def project(reader: Reader, runs: Sequence[int]) -> Plane:
    """Lay the stored z's of the runs into their common plane.

    Where the runs' vectors have several dimensions, those like the first run's are taken.
    """
    import numpy as np

    share = max(MOST_POINTS // max(len(runs), 1), 2)
    chosen: list[tuple[int, ...]] = []
    points: list[NDArray[np.float32]] = []
    left_out: list[int] = []
    dimension: int | None = None
    for index, run in enumerate(runs):
        steps = evenly_chosen(reader.vector_steps(run, "z"), share)
        vectors = [(step, z) for step in steps if (z := reader.vector(run, step, "z")) is not None]
        if vectors and dimension is None:
            dimension = len(vectors[0][1])
        if any(len(z) != dimension for _, z in vectors):
            left_out.append(index)
            vectors = []
        vectors = [(step, z) for step, z in vectors if np.isfinite(z).all()]
        chosen.append(tuple(step for step, _ in vectors))
        points += [z for _, z in vectors]
    if not points:
        return Plane(tuple(Path(run, (), (), ()) for run in runs), dimension, None, tuple(left_out))
    plane, explained = principal_plane(np.stack(points))
    paths = []
    start = 0
    for run, shown in zip(runs, chosen, strict=True):
        part = plane[start : start + len(shown)].tolist()
        start += len(shown)
        paths.append(Path(run, shown, tuple(x for x, _ in part), tuple(y for _, y in part)))
    return Plane(tuple(paths), dimension, explained, tuple(left_out))


def principal_plane(
    points: "NDArray[np.float32]",
) -> tuple["NDArray[np.float64]", tuple[float, float] | None]:
    """Coordinates of points along their two principal components.

    A component's sign is free; it is chosen so that its entry of largest magnitude is positive.

    Args:
        points: (P, D), finite, P ≥ 1.

    Returns:
        Coordinates (P, 2), and the share of the variance along each; None where the points do not vary.
    """
    import numpy as np

    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    _, singular, components = np.linalg.svd(centred, full_matrices=False)
    components, singular = components[:2], singular.astype(np.float64)
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)
    coordinates = np.zeros((len(points), 2))
    coordinates[:, : len(components)] = centred @ (components * signs[:, None]).T
    variance = singular**2
    if singular[0] <= _ROUNDING * np.abs(points).max() * len(points):
        return coordinates, None
    shares = np.zeros(2)
    shares[: len(components)] = variance[:2] / variance.sum()
    return coordinates, (float(shares[0]), float(shares[1]))


def evenly_chosen(values: Sequence[int], most: int) -> list[int]:
    """At most so many of the values, the first and the last among them; `most` is 2 or more."""
    if len(values) <= most:
        return list(values)
    return [values[round(index * (len(values) - 1) / (most - 1))] for index in range(most)]
