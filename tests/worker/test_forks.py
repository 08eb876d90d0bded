"""What a worker makes of a fork: with the parent's state the parent's own rows, without it a new run."""

import sqlite3

import pytest

from engine.control import queue_forks, queue_run
from engine.forking import fork_point
from engine.spec import parse_spec, with_changes
from engine.store.reading import Reader
from engine.store.records import Status, StepRecord
from tests.worker.conftest import Laboratory

pytestmark = pytest.mark.usefixtures("forked_workers")


def rows_from(reader: Reader, run: int, step: int) -> list[StepRecord]:
    """The rows as they are but for their run and their time."""
    return [row._replace(run=0, elapsed_ms=0.0) for row in reader.all_steps(run) if row.step >= step]


def without_init(row: StepRecord) -> StepRecord:
    """A row but for its distance from where its run began: a fork begins elsewhere than its parent."""
    measures = {name: value for name, value in row.measures.items() if name != "init_distance"}
    return row._replace(measures=measures)


def test_an_unchanged_fork_with_the_state_makes_the_rows_of_its_parent(laboratory: Laboratory) -> None:
    fields = {"steps": 10, "decode_every": 4, "device": "cpu", "beam": 1, "max_decoded_tokens": 6}
    parent = queue_run(laboratory.database, parse_spec(**fields))
    laboratory.ask(parent, "resume", until=3)
    laboratory.wait_for_status(parent, Status.PAUSED)
    laboratory.ask(parent, "set", lr=0.004, weights={"cosine": 0.5})
    laboratory.ask(parent, "resume", until=5)
    laboratory.wait_for_status(parent, Status.PAUSED)
    with laboratory.reader() as reader:
        (state_step,) = {step for step in reader.checkpoint_steps(parent) if step > 5}
        point = fork_point(reader, parent, state_step)
        alone = fork_point(reader, parent, 2)
    assert state_step == 6
    assert (point.spec.lr, point.spec.weights) == (0.004, {"ce": 1.0, "cosine": 0.5})
    (same,) = queue_forks(laboratory.database, parent, 6, [point.spec], names=[None])
    changed = with_changes(point.spec, lr=0.5, steps=8)
    (other,) = queue_forks(laboratory.database, parent, 6, [changed], names=[None])
    short = with_changes(alone.spec, steps=2)
    (fresh,) = queue_forks(laboratory.database, parent, 2, [short], names=[None])
    laboratory.ask(parent, "resume")
    for run in (parent, same, other, fresh):
        laboratory.wait_for_status(run, Status.FINISHED)
    with laboratory.reader() as reader:
        expected = rows_from(reader, parent, 6)
        assert [row.step for row in expected] == [6, 7, 8, 9, 10]
        assert [without_init(row) for row in rows_from(reader, same, 0)] == [
            without_init(row) for row in expected
        ]
        for kind in ("z", "prediction"):
            of_parent, of_fork = (
                {step: vector.tobytes() for step, vector in reader.vectors(run, kind) if step >= 6}
                for run in (parent, same)
            )
            assert of_fork == of_parent
            assert of_fork

        first, second, *_ = rows_from(reader, other, 0)
        assert without_init(first) == without_init(expected[0]._replace(lr=0.5))
        assert (second.step, second.lr) == (7, 0.5)
        assert second.state_hash != expected[1].state_hash

        begun = rows_from(reader, fresh, 0)
        origin = next(row for row in reader.all_steps(parent) if row.step == 2)
        assert [row.step for row in begun] == [0, 1, 2]
        assert begun[0].loss == pytest.approx(origin.loss, rel=1e-5)
        assert begun[0].z_norm == pytest.approx(origin.z_norm, rel=1e-6)
        details = [event.detail for event in reader.events(fresh) if event.kind == "forked"]
    assert len(details) == 1
    assert details[0].startswith(f"from run {parent} step 2, z only: no checkpoint there")


def test_a_fork_with_another_optimiser_starts_from_z_alone(laboratory: Laboratory) -> None:
    parent = queue_run(laboratory.database, parse_spec(steps=2, decode_every=2, device="cpu", beam=1))
    laboratory.wait_for_status(parent, Status.FINISHED)
    with laboratory.reader() as reader:
        spec = with_changes(fork_point(reader, parent, 2).spec, optimizer="sgd", steps=1)
    (fork,) = queue_forks(laboratory.database, parent, 2, [spec], names=[None])
    laboratory.wait_for_status(fork, Status.FINISHED)
    with laboratory.reader() as reader:
        assert [row.step for row in reader.all_steps(fork)] == [0, 1]
        (detail,) = [event.detail for event in reader.events(fork) if event.kind == "forked"]
    assert detail == f"from run {parent} step 2, z only: the state is of optimiser adam"


def test_a_fork_on_other_weights_than_its_state_fails_and_says_so(laboratory: Laboratory) -> None:
    parent = queue_run(laboratory.database, parse_spec(steps=2, decode_every=2, device="cpu", beam=1))
    laboratory.wait_for_status(parent, Status.FINISHED)
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("UPDATE run SET bundle_digest = 'other'")
    connection.close()
    with laboratory.reader() as reader:
        spec = fork_point(reader, parent, 2).spec
    (fork,) = queue_forks(laboratory.database, parent, 2, [spec], names=[None])
    laboratory.wait_for_status(fork, Status.FAILED)
    with laboratory.reader() as reader:
        assert "bundle: mini has other weights now than when the run began" in (reader.run(fork).error or "")
