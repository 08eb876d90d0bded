"""A population search in a worker: stopped, killed, verified, forked, ended by a match."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.control import queue_forks, queue_run, request_task, wait_for_task
from engine.forking import fork_point
from engine.spec import RunSpec, parse_spec, with_changes
from engine.store.records import Status, StepRecord
from engine.verdict import Verdict
from tests.engine.toy import TEXT

from .conftest import PATIENCE_S, Laboratory
from .forked_workers import use_forked_workers
from .records import everything_stored

SPEC = parse_spec(
    method="population",
    device="cpu",
    steps=8,
    beam=1,
    max_decoded_tokens=6,
    options={
        "population.candidates": 6,
        "population.keep": 6,
        "population.gradient_steps": 2,
        "population.round_trip": 0.5,
        "population.words": 2.0,
    },
)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """One database for all tests here, and toy models."""
    laboratory = Laboratory(tmp_path_factory.mktemp("population") / "sessions.db")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_forked_workers(monkeypatch, with_toy_models=True)
        yield laboratory
    laboratory.kill_worker()


@pytest.fixture(scope="module")
def uninterrupted(laboratory: Laboratory) -> int:
    run = queue_run(laboratory.database, SPEC, session="tests")
    laboratory.wait_for_end(run)
    return run


def rows_of(laboratory: Laboratory, run: int) -> list[StepRecord]:
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.FINISHED, reader.run(run).error
        return list(reader.all_steps(run))


def test_every_generation_is_a_decoded_row(laboratory: Laboratory, uninterrupted: int) -> None:
    rows = rows_of(laboratory, uninterrupted)
    assert [row.step for row in rows] == list(range(9))
    assert all(row.decoded_z and row.decoded_prediction and row.match is False for row in rows)
    losses = [row.loss for row in rows if row.loss is not None]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_one_that_was_interrupted_leaves_what_an_uninterrupted_one_leaves(
    laboratory: Laboratory, uninterrupted: int
) -> None:
    run = queue_run(laboratory.database, SPEC, session="tests", break_points=["loss>0"])  # after row 0
    laboratory.wait_for_status(run, Status.PAUSED)
    laboratory.ask(run, "stop")
    laboratory.ask(run, "resume", until=2)
    laboratory.wait_for_status(run, Status.PAUSED)
    laboratory.ask(run, "resume", until=7)
    laboratory.wait_for_step(run, 4)
    laboratory.kill_worker()
    laboratory.ask(run, "resume")
    laboratory.wait_for_end(run)
    assert everything_stored(laboratory.database, run) == everything_stored(
        laboratory.database, uninterrupted
    )


def test_it_is_verified_bit_for_bit_with_what_was_set_on_its_way(laboratory: Laboratory) -> None:
    run = queue_run(
        laboratory.database, with_changes(SPEC, steps=4), session="tests", break_points=["loss>0"]
    )
    laboratory.wait_for_status(run, Status.PAUSED)
    laboratory.ask(run, "set", lr=0.005, weights={"cosine": 0.5})
    laboratory.ask(run, "resume")
    laboratory.wait_for_end(run)
    laboratory.ask(run, "extend", steps=2)
    laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        task = request_task(laboratory.database, "verify", run=run, arguments={})
        answer = wait_for_task(reader, task, PATIENCE_S)
    assert answer.result is not None, answer
    verdict = Verdict.from_result(answer.result)
    assert verdict.summary == "all equal, bit for bit: 7 rows (steps 0 to 6)"


def test_a_fork_with_the_state_goes_on_as_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_forked_workers(monkeypatch)  # with the embedded models: whoever forks checks what their z is like
    laboratory = Laboratory(tmp_path / "sessions.db")
    parent = queue_run(laboratory.database, with_changes(SPEC, steps=3), session="tests")
    laboratory.wait_for_end(parent)
    expected = rows_of(laboratory, parent)
    with laboratory.reader() as reader:
        point = fork_point(reader, parent, 3)
        earlier = fork_point(reader, parent, 1)
    (fork,) = queue_forks(laboratory.database, parent, 3, [with_changes(point.spec, steps=4)], names=[None])
    gradient = with_changes(earlier.spec, method="gradient", steps=1)
    (descent,) = queue_forks(laboratory.database, parent, 1, [gradient], names=[None])
    for run in (fork, descent):
        laboratory.wait_for_end(run)
    laboratory.kill_worker()
    rows = rows_of(laboratory, fork)
    assert [row.step for row in rows] == [3, 4]
    assert (rows[0].loss, rows[0].decoded_z) == (expected[3].loss, expected[3].decoded_z)
    # Gradient descent goes on from the embedding of the text.
    assert rows_of(laboratory, descent)[0].loss == pytest.approx(expected[1].loss, rel=1e-5)


def test_a_match_finishes_it_and_more_generations_are_refused(laboratory: Laboratory) -> None:
    given = {"population.seeds": "sentences", "population.sentences": TEXT[:2], "population.round_trip": 0.0}
    said = queue_run(laboratory.database, _with_options(with_changes(SPEC, steps=1), given), session="tests")
    laboratory.wait_for_end(said)
    target = rows_of(laboratory, said)[0].decoded_prediction
    spec = _with_options(with_changes(SPEC, steps=50, target=target, max_decoded_tokens=6), given)
    run = queue_run(laboratory.database, spec, session="tests")
    laboratory.wait_for_end(run)
    (row,) = rows_of(laboratory, run)
    assert (row.match, row.decoded_prediction, row.lr) == (True, target, None)
    with laboratory.reader() as reader:
        assert reader.run(run).first_match_step == 0
        assert reader.vector(run, 0, "z") is not None
        finished = reader.events(run)[-1]
    assert (finished.kind, finished.detail) == ("finished", "match")
    answer = laboratory.ask(run, "extend", steps=5)
    assert answer.status == "rejected"
    assert answer.reason == (
        "the run has ended with a match at step 0: fork it with population.stop=never to go on"
    )


def _with_options(spec: RunSpec, options: dict[str, object]) -> RunSpec:
    return with_changes(spec, options={**spec.options, **options})
