"""The way from one vector to another, against the geometry that it follows."""

import numpy as np
import pytest

from engine.errors import UserError
from engine.store.vectors import VectorArray
from engine.tasks import PATHS
from engine.vector_path import Point, cosine, path_between, points_of, result_of

A = np.array([2, 0, 0], np.float32)
B = np.array([0, 4, 0], np.float32)


@pytest.mark.parametrize("path", PATHS)
def test_the_ends_are_exactly_what_is_stored(path: str) -> None:
    random = np.random.default_rng(3)
    first, last = random.standard_normal((2, 384)).astype(np.float32)
    t, vectors = path_between(first, last, 5, path)
    assert t.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert vectors.shape == (5, 384)
    assert vectors.dtype == np.float32
    assert vectors[0].tobytes() == first.tobytes()
    assert vectors[-1].tobytes() == last.tobytes()


def test_linear_is_the_straight_line() -> None:
    _, vectors = path_between(A, B, 5, "linear")
    assert vectors.tolist() == [[2, 0, 0], [1.5, 1, 0], [1, 2, 0], [0.5, 3, 0], [0, 4, 0]]


def test_spherical_has_even_angles_and_even_norms() -> None:
    _, vectors = path_between(A, B, 4, "spherical")
    angles = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    assert angles.tolist() == pytest.approx([0, 30, 60, 90], abs=1e-4)
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([2, 8 / 3, 10 / 3, 4], abs=1e-5)


def test_spherical_between_parallel_vectors_is_straight() -> None:
    _, vectors = path_between(A, 3 * A, 3, "spherical")
    assert vectors.tolist() == [[2, 0, 0], [4, 0, 0], [6, 0, 0]]


@pytest.mark.parametrize(
    ("first", "last", "line"), [(A, -A, "opposite directions"), (A, 0 * A, "one of the vectors is 0")]
)
def test_no_arc_is_made_up(first: VectorArray, last: VectorArray, line: str) -> None:
    with pytest.raises(UserError, match=line):
        path_between(first, last, 3, "spherical")


def test_cosine() -> None:
    assert cosine(A, A) == 1
    assert cosine(A, -A) == -1
    assert cosine(A, B) == 0
    assert cosine(A, 0 * A) == 0


def test_points_survive_the_database_and_a_foreign_result_is_refused() -> None:
    point = Point(0.5, 1.0, 0.9, 0.8, None, 0.1, False, "a", "b")
    assert points_of(result_of([point])) == [point]
    for foreign in ({}, {"points": 3}, {"points": [{"t": 1}]}):
        with pytest.raises(UserError, match="interpolation: its result cannot be read"):
            points_of(foreign)
