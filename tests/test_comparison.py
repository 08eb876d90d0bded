"""Comparing runs: alignments, fields, cosines and the plane, against values worked out by hand."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.comparison.alignment import Alignment, positions, row_at
from engine.comparison.choice import chosen_runs
from engine.comparison.comparison import Comparison
from engine.comparison.cosines import cosine, cosines
from engine.comparison.course import Course
from engine.comparison.differences import fields
from engine.comparison.predictions import next_decoded_step, prediction_at, previous_decoded_step
from engine.comparison.projection import MOST_POINTS, evenly_chosen, principal_plane, project
from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.records import Status
from engine.store.schema import prepare
from engine.store.vectors import VectorArray
from tests.tui.recording import Recording, row


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    path = tmp_path / "sessions.db"
    prepare(path)
    recording = Recording(path)
    yield recording
    recording.close()


def record_z(
    recording: Recording,
    zs: Sequence[Sequence[float]],
    *,
    init: Sequence[float] | None = None,
    target: Sequence[float] | None = None,
    **fields: object,
) -> int:
    """A finished run with these z's."""
    run = recording.begin(**fields)
    for step, z in enumerate(zs):
        vectors: dict[str, VectorArray] = {"z": np.array(z, np.float32)}
        if step == 0:
            given = {"init": init, "target": target}
            vectors |= {kind: np.array(v, np.float32) for kind, v in given.items() if v is not None}
        recording._recorder.record_step(row(run, step), vectors)
    recording.end(run, len(zs) - 1, Status.FINISHED)
    return run


def course_of(recording: Recording, rows: Sequence[dict[str, object]]) -> Course:
    """What is read of a run with these rows."""
    run = recording.begin()
    recording.steps(run, [row(run, **{"step": step, **values}) for step, values in enumerate(rows)])  # type: ignore[arg-type]
    course = Course(run)
    with Reader(recording.path) as reader:
        course.update(reader)
    return course


def test_curves_are_aligned_by_step_by_time_and_from_the_first_match(recording: Recording) -> None:
    times = [10.0, 20.0, 5.0, 7.0]
    matches = [False, None, True, True]
    course = course_of(
        recording,
        [{"elapsed_ms": ms, "match": match} for ms, match in zip(times, matches, strict=True)],
    )
    assert list(positions(course, Alignment.STEP) or ()) == [0, 1, 2, 3]
    # Row k is there when the updates before it are made: 0, 10, 10 + 20, 10 + 20 + 5 ms.
    assert list(positions(course, Alignment.TIME) or ()) == pytest.approx([0.0, 0.010, 0.030, 0.035])
    assert list(positions(course, Alignment.MATCH) or ()) == [-2, -1, 0, 1]


def test_a_run_without_times_or_match_cannot_be_aligned_so(recording: Recording) -> None:
    course = course_of(recording, [{"step": step, "elapsed_ms": None} for step in (0, 10, 20)])
    assert positions(course, Alignment.TIME) is None
    assert positions(course, Alignment.MATCH) is None
    assert list(positions(course, Alignment.STEP) or ()) == [0, 10, 20]


def test_the_last_row_needs_no_time(recording: Recording) -> None:
    course = course_of(recording, [{"elapsed_ms": 4.0}, {"elapsed_ms": None}])
    assert list(positions(course, Alignment.TIME) or ()) == pytest.approx([0.0, 0.004])


@pytest.mark.parametrize(("position", "index"), [(-1, None), (0, 0), (9.9, 0), (10, 1), (99, 2)])
def test_the_row_at_a_position_is_the_nearest_at_or_before(position: float, index: int | None) -> None:
    assert row_at([0, 10, 20], position) == index


def test_a_course_reads_only_what_is_new_and_all_of_a_remade_part(recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, [row(run, step) for step in range(3)])
    course = Course(run)
    with Reader(recording.path) as reader:
        assert course.update(reader)
        assert not course.update(reader)
        recording.steps(run, [row(run, 3, loss=9.0, terms={"ce": 9.0, "mse": 0.25})])
        assert course.update(reader)
        assert list(course.steps) == [0, 1, 2, 3]
        assert course.figures["loss"][3] == 9.0
        assert list(course.figures["mse"]) == [math.inf] * 3 + [0.25]
        recording.event(run, 2, "remade", "from step 2 on")
        recording.steps(run, [row(run, 4, loss=None)])
        assert course.update(reader)
        assert list(course.steps) == [0, 1, 2, 3, 4]
        assert not math.isfinite(course.figures["loss"][4])
        assert not course.update(reader)


def test_the_lowest_and_the_highest_of_a_long_curve_are_kept(recording: Recording) -> None:
    first, second = recording.begin(), recording.begin()
    recording.many_steps([row(first, step, loss=1.0) for step in range(5000)])
    losses = {1234: 7.0, 4321: -3.0, 2500: None}
    recording.many_steps([row(second, step, loss=losses.get(step, 1.0)) for step in range(5001)])
    comparison = Comparison([first, second])
    with Reader(recording.path) as reader:
        comparison.update(reader)
    flat, spiky = comparison.curves("loss", Alignment.STEP)
    assert len(flat.values) < 1600
    kept = dict(zip(spiky.positions, spiky.values, strict=True))
    assert len(kept) < 1600
    assert {step: kept[step] for step in losses} == losses
    assert (spiky.positions[0], spiky.positions[-1]) == (0, 5000)


def test_values_stand_at_common_positions(recording: Recording) -> None:
    short, long = recording.begin(), recording.begin()
    recording.steps(short, [row(short, step, loss=float(step)) for step in range(0, 5, 2)])
    recording.steps(long, [row(long, step, loss=10.0 * step) for step in range(9)])
    comparison = Comparison([short, long])
    with Reader(recording.path) as reader:
        comparison.update(reader)
    assert comparison.aligned("loss", Alignment.STEP, 5) == [
        (0, [0, 0]),
        (2, [2, 20]),
        (4, [4, 40]),
        (6, [None, 60]),
        (8, [None, 80]),
    ]
    assert comparison.aligned("loss", Alignment.MATCH, 5) == []
    assert comparison.left_out(Alignment.MATCH) == ["A has no match", "B has no match"]


def test_fields_that_differ_come_first_with_who_has_which_value(recording: Recording) -> None:
    runs = [recording.begin(lr=0.01), recording.begin(lr=0.5), recording.begin(lr=0.01, weights={"mse": 2})]
    recording.set_lr(runs[2], 1, 0.01, 0.005)
    with Reader(recording.path) as reader:
        table = fields(chosen_runs(reader, runs))
    by_name = {field.name: field for field in table}
    assert [field.name for field in table if field.differs] == [
        "weights",
        "lr",
        "lr in force",
    ]
    assert "weights in force" not in by_name  # no run's were changed
    assert [field.differs for field in table] == sorted((field.differs for field in table), reverse=True)
    assert by_name["lr"].values == (0.01, 0.5, 0.01)
    assert by_name["lr"].groups == [(0.01, (0, 2)), (0.5, (1,))]
    assert by_name["lr in force"].values == (0.01, 0.5, 0.005)
    assert by_name["weights"].values == ("ce=1", "ce=1", "mse=2")
    for name in ("init", "target", "steps", "norm", "decode every", "beam", "bundle", "dtype", "seed"):
        assert not by_name[name].differs, name
    assert {"digest of models", "ran on"} <= by_name.keys()


def test_environments_are_compared_too(recording: Recording) -> None:
    runs = []
    for version in ("2.9.1", "2.9.0"):
        run = recording.queue()
        environment = {"python": "3.11.1", "torch": version}
        recording._recorder.start(run, digest=version, step=0, vectors={}, environment=environment)
        runs.append(run)
    with Reader(recording.path) as reader:
        by_name = {field.name: field for field in fields(chosen_runs(reader, runs))}
    assert by_name["environment: torch"].values == ("2.9.1", "2.9.0")
    assert not by_name["environment: python"].differs
    assert by_name["digest of models"].differs


def test_objectives_are_compared_in_words_and_what_a_run_is_without_is_empty(recording: Recording) -> None:
    first = recording.begin(read_every=5, options={"noise.copies": 8})
    second = recording.begin(
        schedules={"lr": "cosine:0:100"},
        continuation=["One.", "Two."],
        options={"anchor.sentences": ["A dog."], "noise.level": 0.2},
    )
    with Reader(recording.path) as reader:
        by_name = {field.name: field for field in fields([reader.run(first), reader.run(second)])}
    assert by_name["read every"].values == (5, 10)
    assert by_name["noise copies"].values == (8, 0), "the default where a run names none"
    assert by_name["noise level"].values == (0.1, 0.2)
    assert by_name["anchor sentences"].values == (None, "A dog.")
    assert by_name["continuation"].values == (None, "One. / Two.")
    assert by_name["schedule of lr"].values == (None, "cosine to 0 over 100 steps")
    assert by_name["clip"].values == (None, None)
    assert "projection every" not in by_name, "as it is for both by default"


def test_predictions_are_those_at_the_step_or_the_last_before(recording: Recording) -> None:
    first, second = recording.begin(), recording.begin()
    recording.steps(first, [row(first, step) for step in range(3)])
    recording.steps(first, [row(first, 3, decoded_prediction="three", match=False), row(first, 4)])
    recording.steps(second, [row(second, 0, decoded_prediction="zero", match=True)])
    courses = [Course(first), Course(second)]
    with Reader(recording.path) as reader:
        for course in courses:
            course.update(reader)
        said = [[prediction_at(reader, course, step) for course in courses] for step in (2, 3, 99)]
    assert [[(one.step, one.text, one.match) for one in pair] for pair in said] == [
        [(None, "", None), (0, "zero", True)],
        [(3, "three", False), (0, "zero", True)],
        [(3, "three", False), (0, "zero", True)],
    ]
    assert next_decoded_step(courses, 0) == 3
    assert next_decoded_step(courses, 3) is None
    assert previous_decoded_step(courses, 3) == 0
    assert previous_decoded_step(courses, 0) is None


def test_cosines_are_those_of_the_last_stored_z(recording: Recording) -> None:
    shared = (0.0, 0.0, 2.0)
    first = record_z(recording, [(9, 9, 9), (1, 2, 2)], init=shared, target=(3, 0, 0))
    second = record_z(recording, [(2, 3, 6)], init=shared, target=(0, 4, 0))
    with Reader(recording.path) as reader:
        matrix = cosines(reader, [first, second])
    assert [(final.run, final.step, final.dimension) for final in matrix.finals] == [
        (first, 1, 3),
        (second, 0, 3),
    ]
    # |(1, 2, 2)| = 3, |(2, 3, 6)| = 7; their product of entries is 2 + 6 + 12 = 20.
    expected = [
        ("z", (0,), (1, 20 / 21)),
        ("z", (1,), (20 / 21, 1)),
        ("init", (0, 1), (2 * 2 / (2 * 3), 2 * 6 / (2 * 7))),
        ("target", (0,), (3 / (3 * 3), 6 / (3 * 7))),
        ("target", (1,), (8 / (4 * 3), 12 / (4 * 7))),
    ]
    assert [(one.kind, one.runs) for one in matrix.rows] == [(kind, runs) for kind, runs, _ in expected]
    for one, (_, _, values) in zip(matrix.rows, expected, strict=True):
        assert one.cosines == pytest.approx(values)


def test_vectors_of_other_dimensions_and_missing_ones_have_no_cosine(recording: Recording) -> None:
    first = record_z(recording, [(1, 0, 0)])
    second = record_z(recording, [(1, 0, 0, 0)])
    third = recording.begin()
    recording.steps(third, [row(third, 0)])
    with Reader(recording.path) as reader:
        matrix = cosines(reader, [first, second, third])
        plane = project(reader, [first, second, third])
    assert [one.cosines for one in matrix.rows] == [(1.0, None, None), (None, 1.0, None)]
    assert matrix.dimensions == {3: (0,), 4: (1,)}
    assert matrix.finals[2].step is None
    assert plane.left_out == (1,)
    assert [path.steps for path in plane.paths] == [(0,), (), ()]
    assert plane.explained is None


def test_a_zero_vector_has_no_cosine() -> None:
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert cosine(zero, one) is None
    assert cosine(one, one) == pytest.approx(1)


def test_the_plane_is_that_of_the_covariance_matrix() -> None:
    points = np.random.default_rng(1).standard_normal((40, 7)).astype(np.float32) * [1, 5, 2, 1, 3, 1, 1]
    coordinates, explained = principal_plane(points.astype(np.float32))
    centred = points - points.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    assert explained == pytest.approx((values[-1] / values.sum(), values[-2] / values.sum()), rel=1e-5)
    for axis in (0, 1):
        component = vectors[:, -1 - axis]
        component = component * np.sign(component[np.abs(component).argmax()])
        assert coordinates[:, axis] == pytest.approx(centred @ component, abs=1e-4)


def test_the_plane_of_a_line_and_of_a_point() -> None:
    line = np.outer(np.arange(3), [3.0, -4.0, 0.0]).astype(np.float32)
    coordinates, explained = principal_plane(line)
    # The largest entry of the component is the second one, which is made positive.
    assert coordinates[:, 0] == pytest.approx([5, 0, -5], abs=1e-6)
    assert coordinates[:, 1] == pytest.approx([0, 0, 0], abs=1e-6)
    assert explained == pytest.approx((1, 0))
    same = np.full((3, 5), 0.1, np.float32)
    coordinates, explained = principal_plane(same)
    assert explained is None
    assert coordinates == pytest.approx(np.zeros((3, 2)), abs=1e-6)


def test_a_long_trajectory_is_thinned_evenly_with_both_ends(recording: Recording) -> None:
    angles = np.linspace(0, 3, 700)
    first = record_z(recording, [(math.cos(angle), math.sin(angle), 0) for angle in angles])
    second = record_z(recording, [(0, 0, 1), (1, 0, 0)])
    with Reader(recording.path) as reader:
        plane = project(reader, [first, second])
    steps = plane.paths[0].steps
    assert (len(steps), steps[0], steps[-1]) == (MOST_POINTS // 2, 0, 699)
    assert set(np.diff(steps)) <= {2, 3}
    assert plane.paths[1].steps == (0, 1)
    assert len(plane.paths[0].x) == len(steps)
    assert evenly_chosen([1, 2, 3], 3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "run: 0 given; 2 to 8 can be compared"),
        ([1], "run: 1 given; 2 to 8 can be compared"),
        (list(range(1, 10)), "run: 9 given; 2 to 8 can be compared"),
        ([1, 2, 1], "run: 1: is named twice; 2 to 8 different runs"),
        ([1, 99], "run: there is no run 99 in"),
    ],
)
def test_two_to_eight_different_runs_are_compared(recording: Recording, runs: list[int], said: str) -> None:
    recording.begin()
    with Reader(recording.path) as reader, pytest.raises(UserError, match=said):
        chosen_runs(reader, runs)
