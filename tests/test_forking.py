"""What a fork is queued with: its parent's row, the state where it is kept, and one line about both."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import engine.control
from engine.control import queue_forks, queue_run
from engine.errors import UserError
from engine.forking import fork_point
from engine.spec import FileInit, RunSpec, VectorInit, parse_spec, with_changes
from engine.store.reading import Reader
from engine.store.records import Status
from engine.store.run_changes import Event
from engine.store.schema import prepare
from tests.tui.recording import DIGEST, Recording, row

D = 384
"""The dimension of the bundle mini."""


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.control, "ensure_worker", lambda path, device: None)


def z_of(step: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.full(D, 0.01 * (step + 1), np.float32)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    path = tmp_path / "sessions.db"
    prepare(path)
    recording = Recording(path)
    yield recording
    recording.close()


@pytest.fixture
def parent(recording: Recording) -> int:
    """A run of 10 steps with rows 0 to 6, z of the even ones, and its state before step 4."""
    run = recording.begin(steps=10, weights={"ce": 1.0}, session="dragons", seed=5)
    for step in range(7):
        vectors = {"z": z_of(step)} if step % 2 == 0 else {}
        recording._recorder.record_step(row(run, step), vectors, b"state" if step == 3 else None)
        if step == 1:
            recording.set_lr(run, 2, 0.01, 0.002)
    return run


def test_a_fork_has_parent_step_state_and_digest(recording: Recording, parent: int) -> None:
    with Reader(recording.path) as reader:
        point = fork_point(reader, parent, 4)
    (fork,) = queue_forks(recording.path, parent, 4, [point.spec], names=["heir"])
    with Reader(recording.path) as reader:
        record = reader.run(fork)
        (event,) = [event for event in reader.events(fork) if event.kind == "forked"]
        initial = reader.vector(fork, 0, "init")
        state = reader.checkpoint(fork, 4)
    assert (record.parent_run, record.parent_step, record.name) == (parent, 4, "heir")
    assert record.session == "dragons"
    assert record.bundle_digest == DIGEST
    assert event.detail == f"from run {parent} step 4, with the optimiser's state"
    assert event.step == 4
    assert state == b"state"
    assert initial is not None
    assert initial.tolist() == z_of(4).tolist()
    spec = RunSpec.model_validate_json(record.spec)
    assert spec == parse_spec(
        init={"kind": "vector", "run": parent, "step": 4}, steps=10, lr=0.002, seed=5, weights={"ce": 1.0}
    )


@pytest.mark.parametrize(
    ("step", "changes", "reason"),
    [
        (2, {}, "no checkpoint there; that of step 4 is kept"),
        (4, {"norm": "free"}, "the norm is held otherwise"),
        (4, {"optimizer": "adamw"}, "the state is of optimiser adam"),
    ],
)
def test_without_the_state_it_starts_from_z_alone_and_says_why(
    recording: Recording, parent: int, step: int, changes: dict[str, object], reason: str
) -> None:
    (fork,) = queue_forks(recording.path, parent, step, [parse_spec(**changes)], names=[None], session="b")
    with Reader(recording.path) as reader:
        record = reader.run(fork)
        (event,) = [event for event in reader.events(fork) if event.kind == "forked"]
        assert reader.checkpoint_steps(fork) == []
        initial = reader.vector(fork, 0, "init")
    assert event.detail == f"from run {parent} step {step}, z only: {reason}"
    assert event.step == 0
    assert (record.parent_run, record.parent_step, record.session) == (parent, step, "b")
    assert record.bundle_digest is None
    assert initial is not None
    assert initial.tolist() == z_of(step).tolist()


def test_schedules_go_on_with_the_state_and_begin_anew_without_it(recording: Recording) -> None:
    schedules = {"lr": "cosine:0:100@2", "cosine": "linear:1:50@9"}
    run = recording.begin(steps=10, schedules=schedules)
    for step in range(6):
        state = b"state" if step == 3 else None
        recording._recorder.record_step(row(run, step), {"z": z_of(step)}, state)
    (with_state, alone, chosen) = (
        _forked_schedules(recording.path, run, step, changes)
        for step, changes in ((4, {}), (5, {}), (5, {"lr": "cosine:0:100@3"}))
    )
    assert with_state == (schedules, f"from run {run} step 4, with the optimiser's state")
    why = f"from run {run} step 5, z only, schedules begin anew: no checkpoint there; that of step 4 is kept"
    assert alone == ({"lr": "cosine:0:100", "cosine": "linear:1:50@4"}, why)
    assert chosen[0] == {"lr": "cosine:0:100@3", "cosine": "linear:1:50@4"}


def _forked_schedules(path: Path, parent: int, step: int, changes: dict[str, str]) -> tuple[object, str]:
    """The schedules of a fork, and what is said of its origin."""
    with Reader(path) as reader:
        spec = fork_point(reader, parent, step).spec
    spec = with_changes(spec, schedules=spec.schedules | changes)
    (fork,) = queue_forks(path, parent, step, [spec], names=[None])
    with Reader(path) as reader:
        (event,) = [event for event in reader.events(fork) if event.kind == "forked"]
        return dict(reader.run(fork).schedules), event.detail


def test_the_lr_and_the_weights_are_those_of_the_row(recording: Recording, parent: int) -> None:
    command = recording.ask(parent, "set", {"weights": {"cosine": 0.5, "ce": 0}})
    recording._recorder.apply(command, 6, weights={"cosine": 0.5})
    recording.reject(recording.ask(parent, "set", {"lr": 9.0}), "no")
    with Reader(recording.path) as reader:
        specs = {step: fork_point(reader, parent, step).spec for step in (0, 2, 4, 6)}
    assert {step: spec.lr for step, spec in specs.items()} == {0: 0.01, 2: 0.002, 4: 0.002, 6: 0.002}
    assert [specs[step].weights for step in (4, 6)] == [{"ce": 1.0}, {"cosine": 0.5}]


def test_a_parent_that_ends_with_the_row_is_gone_on_from(recording: Recording) -> None:
    run = recording.begin(steps=3)
    for step in range(4):
        is_last = step == 3
        state = b"state" if is_last else None
        last = row(run, step, lr=None if is_last else 0.01)
        recording._recorder.record_step(last, {"z": z_of(step)}, state)
    with Reader(recording.path) as reader:
        assert fork_point(reader, run, 3).spec.steps == 6
        assert fork_point(reader, run, 2).spec.steps == 3
    with pytest.raises(UserError, match="steps: 3: the fork goes on from step 3; more are needed"):
        queue_forks(recording.path, run, 3, [parse_spec(steps=3)], names=[None])


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (3, r"step: 3: run 1 has no z stored for it; kept are those of steps 0, 2, 4, 6"),
        (70, r"step: 70: run 1 has no z stored for it"),
    ],
)
def test_a_row_without_z_cannot_be_forked(recording: Recording, parent: int, step: int, line: str) -> None:
    with pytest.raises(UserError, match=line):
        queue_forks(recording.path, parent, step, [RunSpec()], names=[None])
    with Reader(recording.path) as reader:
        assert [run.id for run in reader.runs()] == [parent]


def test_of_several_forks_all_are_queued_or_none(recording: Recording, parent: int) -> None:
    specs = [parse_spec(seed=1), parse_spec(seed=2, bundle="sonar-llm-100m")]
    with pytest.raises(UserError, match="init: 384 numbers; bundle sonar-llm-100m takes 1024"):
        queue_forks(recording.path, parent, 4, specs, names=[None, None])
    with Reader(recording.path) as reader:
        assert [run.id for run in reader.runs()] == [parent]
    forks = queue_forks(recording.path, parent, 4, [parse_spec(seed=1), parse_spec(seed=2)], names=["a", "b"])
    with Reader(recording.path) as reader:
        assert [(reader.run(fork).seed, reader.run(fork).name) for fork in forks] == [(1, "a"), (2, "b")]


def test_the_state_that_a_fork_began_with_outlives_its_end(recording: Recording, parent: int) -> None:
    (fork,) = queue_forks(recording.path, parent, 4, [parse_spec()], names=[None])
    recorder = recording._recorder
    for step in (4, 5, 6):
        recorder.record_step(row(fork, step), {}, b"later")
    recorder.end(fork, 6, Status.FINISHED, Event("finished"))
    with Reader(recording.path) as reader:
        assert reader.checkpoint_steps(fork) == [4, 7]


def test_a_run_starts_from_a_file_and_keeps_the_vector(tmp_path: Path) -> None:
    database, file = tmp_path / "sessions.db", tmp_path / "z.npy"
    np.save(file, z_of(0))
    spec = RunSpec(init=FileInit(file=str(file)))
    run = queue_run(database, spec)
    file.unlink()
    with Reader(database) as reader:
        record, initial = reader.run(run), reader.vector(run, 0, "init")
    assert record.init == f"vector of {file}"
    assert RunSpec.model_validate_json(record.spec) == spec
    assert initial is not None
    assert initial.tolist() == z_of(0).tolist()


@pytest.mark.parametrize(
    ("vector", "line"),
    [
        (None, r"init\.file: .*z\.npy: there is no such file"),
        (np.full(D, np.nan), "init: a vector must be one row of finite numbers that are not all 0"),
        (np.full(D, 1e300), "init: a vector must be one row of finite numbers"),
        (np.zeros(D), "init: a vector must be one row of finite numbers"),
        (np.ones(3), "init: 3 numbers; bundle mini takes 384"),
    ],
)
def test_a_file_that_does_not_fit_queues_nothing(tmp_path: Path, vector: object, line: str) -> None:
    file = tmp_path / "z.npy"
    if vector is not None:
        np.save(file, np.asarray(vector))
    with pytest.raises(UserError, match=line):
        queue_run(tmp_path / "sessions.db", RunSpec(init=FileInit(file=str(file))))
    assert not (tmp_path / "sessions.db").exists()


def test_a_stored_z_of_other_models_is_refused(recording: Recording, parent: int) -> None:
    with pytest.raises(UserError, match="init: 384 numbers; bundle sonar-llm-300m takes 1024"):
        queue_run(recording.path, RunSpec(init=VectorInit(run=parent, step=4), bundle="sonar-llm-300m"))


def test_a_deleted_parent_leaves_the_fork_its_own(recording: Recording, parent: int) -> None:
    (fork,) = queue_forks(recording.path, parent, 4, [parse_spec()], names=[None])
    with sqlite3.connect(recording.path) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM run WHERE id = ?", (parent,))
    connection.close()
    with Reader(recording.path) as reader:
        assert reader.run(fork).parent_run is None
        assert reader.checkpoint(fork, 4) == b"state"
        assert reader.vector(fork, 0, "init") is not None
