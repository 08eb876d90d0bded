"""Steering a run to a step, by weights, beyond its end, and by break-points, with a real worker."""

import math
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pytest

from engine.control import queue_run, request, wait_for_command
from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.records import Status, StepRecord
from engine.store.writing import add_command

from .conftest import PATIENCE_S, Laboratory, wait_until
from .forked_workers import use_forked_workers

BRIEF = {"device": "cpu", "beam": 1, "max_decoded_tokens": 12}
ENDLESS = RunSpec(**BRIEF, steps=100_000, decode_every=100_000)
SHORT = RunSpec(**BRIEF, steps=40, decode_every=10, lr=0.03)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """One database for all tests here, and one worker but for those that kill it."""
    laboratory = Laboratory(tmp_path_factory.mktemp("steering") / "sessions.db")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_forked_workers(monkeypatch)
        yield laboratory
    laboratory.kill_worker()


@pytest.fixture(scope="module")
def calm(laboratory: Laboratory) -> list[StepRecord]:
    """The rows of SHORT, left alone."""
    return rows(laboratory, finished(laboratory, queue(laboratory, SHORT)))


def queue(laboratory: Laboratory, spec: RunSpec, *break_points: str) -> int:
    return queue_run(laboratory.database, spec, session="tests", break_points=break_points)


def finished(laboratory: Laboratory, run: int) -> int:
    laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.FINISHED, reader.run(run).error
    return run


def rows(laboratory: Laboratory, run: int) -> list[StepRecord]:
    with laboratory.reader() as reader:
        return reader.steps(run)


def events(laboratory: Laboratory, run: int, *kinds: str) -> list[tuple[int | None, str, str]]:
    with laboratory.reader() as reader:
        return [(event.step, event.kind, event.detail) for event in reader.events(run) if event.kind in kinds]


def assert_paused_after(laboratory: Laboratory, run: int, step: int) -> None:
    """Paused right after a row, by its worker, with the state to go on from stored."""
    laboratory.wait_for_status(run, Status.PAUSED)
    assert [row.step for row in rows(laboratory, run)] == list(range(step + 1))
    with sqlite3.connect(laboratory.database) as connection:
        (newest,) = connection.execute("SELECT max(step) FROM checkpoint WHERE run = ?", (run,)).fetchone()
    assert newest == step + 1


def everything(row: StepRecord) -> tuple[object, ...]:
    """All of a row but its run and the time it took."""
    return row._replace(run=0, elapsed_ms=None)


def test_a_run_goes_on_to_a_step_and_pauses(laboratory: Laboratory) -> None:
    run = queue(laboratory, ENDLESS)
    answer = laboratory.ask(run, "resume", steps=3)  # taken while it is queued, loaded or on its way
    first = (answer.applied_step or 0) + 2
    assert_paused_after(laboratory, run, first)

    resumed = laboratory.ask(run, "resume", until=first + 4)
    assert (resumed.status, resumed.applied_step) == ("applied", first + 1)
    assert_paused_after(laboratory, run, first + 4)
    assert laboratory.ask(run, "resume", steps=1).applied_step == first + 5
    assert_paused_after(laboratory, run, first + 5)
    assert events(laboratory, run, "paused", "resumed") == [
        (answer.applied_step, "resumed", "for 3 steps"),
        (first + 1, "paused", "after 3 steps"),
        (first + 1, "resumed", f"until step {first + 4}"),
        (first + 5, "paused", f"at step {first + 4}"),
        (first + 5, "resumed", "for 1 step"),
        (first + 6, "paused", "after 1 step"),
    ]

    # another halt takes the place of the one before, while the run goes on; a plain resume does not
    assert laboratory.ask(run, "resume", until=99_000).status == "applied"
    laboratory.wait_for_step(run, first + 8)
    with pytest.raises(UserError, match=rf"run {run}: is running already"):
        request(laboratory.database, run, "resume")
    answer = laboratory.ask(run, "resume", steps=2)
    assert_paused_after(laboratory, run, (answer.applied_step or 0) + 1)

    # a plain resume of the paused run clears a halt that has not been reached
    last = (answer.applied_step or 0) + 1
    laboratory.ask(run, "resume", until=last + 40)
    laboratory.ask(run, "pause")
    laboratory.ask(run, "resume")
    laboratory.wait_for_step(run, last + 50)

    # what cannot be is said by the worker too: these rows were written past the check of `request`
    for arguments, reason in (
        ({"steps": 0}, "steps: 0: should be 1 or more"),
        ({"until": 3}, "until: 3: the run is at step "),
        ({"until": 100_001}, "until: 100001: the run ends with step 100000"),
        ({}, "the run is running already"),
    ):
        assert reason in refusal(laboratory, run, "resume", arguments)
    with pytest.raises(UserError, match="until: 3: the run is at step "):
        request(laboratory.database, run, "resume", {"until": 3})
    laboratory.ask(run, "stop")


def refusal(laboratory: Laboratory, run: int, kind: str, arguments: Mapping[str, object]) -> str:
    """Why the worker rejects a command that `request` would not have written."""
    command = add_command(laboratory.database, device="cpu", kind=kind, run=run, arguments=arguments)
    with laboratory.reader() as reader:
        answer = wait_for_command(reader, command, PATIENCE_S)
    assert answer.status == "rejected"
    return answer.reason or ""


def test_a_halt_outlives_the_worker_that_took_it(laboratory: Laboratory, calm: list[StepRecord]) -> None:
    """The run is stopped, then asked to go on for five steps; the worker dies before it has begun."""
    run = queue(laboratory, SHORT)
    laboratory.ask(run, "resume", until=9)
    assert_paused_after(laboratory, run, 9)
    busy = queue(laboratory, ENDLESS)
    laboratory.wait_for_step(busy, 1)
    laboratory.ask(run, "stop")
    assert laboratory.ask(run, "resume", steps=5).applied_step == 10
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.QUEUED  # behind the other
    laboratory.kill_worker()
    with laboratory.reader() as reader:
        wait_until(lambda: reader.run(busy).status is Status.CRASHED, "the crash")
    laboratory.ask(run, "break", when="match")  # starts a worker
    assert_paused_after(laboratory, run, 14)
    assert [row.state_hash for row in rows(laboratory, run)] == [row.state_hash for row in calm[:15]]
    assert events(laboratory, run, "paused")[-1] == (15, "paused", "after 5 steps")
    laboratory.ask(run, "stop")


def test_a_weight_is_in_force_from_its_step_on_and_after_a_crash(laboratory: Laboratory) -> None:
    calm, killed = (queue(laboratory, SHORT) for _ in range(2))
    for run in (calm, killed):
        laboratory.ask(run, "resume", until=19)
    for run in (calm, killed):
        assert_paused_after(laboratory, run, 19)
        answer = laboratory.ask(run, "set", weights={"cosine": 0.5, "ce": 0.25}, lr=0.01)
        assert (answer.status, answer.applied_step) == ("applied", 20)
        with laboratory.reader() as reader:
            record = reader.run(run)
        assert record.weights == {"ce": 0.25, "cosine": 0.5}
        assert (record.loss_name, record.lr) == ("0.25 ce + 0.5 cosine", 0.01)
        assert RunSpec.model_validate_json(record.spec) == SHORT
    laboratory.ask(killed, "resume", until=30)
    laboratory.wait_for_step(killed, 25)
    laboratory.kill_worker()
    laboratory.ask(killed, "resume")
    laboratory.ask(calm, "resume")
    finished(laboratory, calm)
    finished(laboratory, killed)

    expected = rows(laboratory, calm)
    assert [everything(row) for row in rows(laboratory, killed)] == [everything(row) for row in expected]
    for row in expected:
        terms = row.terms
        if row.step < 20:
            assert set(terms) == {"ce"}
            assert row.loss == pytest.approx(terms["ce"], rel=1e-5)
            assert row.lr == 0.03
        else:
            assert set(terms) == {"ce", "cosine"}
            weighted = 0.25 * (terms["ce"] or 0) + 0.5 * (terms["cosine"] or 0)
            assert row.loss == pytest.approx(weighted, rel=1e-5)
    assert events(laboratory, calm, "weight", "lr") == [
        (20, "weight", "cosine 0 → 0.5, ce 1 → 0.25"),
        (20, "lr", "0.03 → 0.01"),
    ]


def test_a_term_is_switched_on_and_off_while_the_run_goes_on(laboratory: Laboratory) -> None:
    run = queue(laboratory, ENDLESS.model_copy(update={"weights": {"cosine": 1.0}}))
    laboratory.wait_for_step(run, 1)
    on = laboratory.ask(run, "set", weights={"ce": 1, "mse": 2.5})
    laboratory.wait_for_step(run, (on.applied_step or 0) + 2)
    off = laboratory.ask(run, "set", weights={"cosine": 0, "mse": 0})
    laboratory.wait_for_step(run, (off.applied_step or 0) + 2)
    bad: tuple[object, ...] = (
        {"ce": 0}, {"hinge": 1}, {"ce": -1}, {"ce": math.nan}, {"ce": None}, {"ce": 10**400}, [1]
    )  # fmt: skip
    for weights in bad:
        assert refusal(laboratory, run, "set", {"weights": weights, "lr": 0.5}).startswith("weights")
    laboratory.ask(run, "stop")
    assert on.applied_step is not None
    assert off.applied_step is not None
    for row in rows(laboratory, run):
        names = {"cosine"} if row.step < on.applied_step else {"ce", "cosine", "mse"}
        assert set(row.terms) == ({"ce"} if row.step >= off.applied_step else names)
        assert row.lr == 0.01
    with laboratory.reader() as reader:
        assert (reader.run(run).weights, reader.run(run).loss_name) == ({"ce": 1.0}, "ce")
    assert [detail for _, _, detail in events(laboratory, run, "weight")] == [
        "ce 0 → 1, mse 0 → 2.5",
        "cosine 1 → 0, mse 2.5 → 0",
    ]


def test_a_run_that_is_extended_is_the_run_that_asked_for_more(
    laboratory: Laboratory, calm: list[StepRecord]
) -> None:
    """On its way, paused, after its end, and after it was stopped: bit for bit the longer run."""
    brief = SHORT.model_copy(update={"steps": 15})
    ended = finished(laboratory, queue(laboratory, brief))
    (last,) = [row for row in rows(laboratory, ended) if row.lr is None]
    assert last.decoded_prediction is not None
    answer = laboratory.ask(ended, "extend", steps=25)
    assert (answer.status, answer.applied_step) == ("applied", 15)

    live = queue(laboratory, brief, "not-finite")
    laboratory.ask(live, "resume", until=10)
    laboratory.wait_for_status(live, Status.PAUSED)
    laboratory.ask(live, "extend", steps=5)
    laboratory.ask(live, "extend", steps=20)
    with laboratory.reader() as reader:
        assert (reader.run(live).status, reader.run(live).steps) == (Status.PAUSED, 40)
    laboratory.ask(live, "stop")
    laboratory.ask(live, "extend", steps=1)
    finished(laboratory, live)

    finished(laboratory, ended)
    with laboratory.reader() as reader:
        assert reader.run(ended).steps == 40
        assert RunSpec.model_validate_json(reader.run(ended).spec) == brief
        for row in calm:
            vectors = [reader.vector(run, row.step, "z") for run in (ended, row.run)]
            np.testing.assert_array_equal(vectors[0], vectors[1])
    again = rows(laboratory, ended)
    # The texts of what was the last row have been recorded, and stay; all else is as in the longer run.
    expected = list(calm)
    expected[15] = expected[15]._replace(
        decoded_z=last.decoded_z,
        decoded_prediction=last.decoded_prediction,
        match=last.match,
        measures=last.measures,
    )
    assert [everything(row) for row in again] == [everything(row) for row in expected]
    longer = rows(laboratory, live)
    assert len(longer) == 42
    assert [row.state_hash for row in longer[:41]] == [row.state_hash for row in calm]
    assert events(laboratory, ended, "extended") == [(15, "extended", "15 → 40")]
    assert events(laboratory, live, "extended", "stopped") == [
        (11, "extended", "15 → 20"),
        (11, "extended", "20 → 40"),
        (11, "stopped", ""),
        (11, "extended", "40 → 41"),
    ]
    assert refusal(laboratory, ended, "extend", {"steps": -1}) == "steps: -1: should be 1 or more"


def test_a_bound_pauses_the_run_once_and_survives_the_worker(
    laboratory: Laboratory, calm: list[StepRecord]
) -> None:
    bound = round(sum(sorted(row.loss or 0 for row in calm)[10:12]) / 2, 4)
    crossings = [row for before, row in pairwise(calm) if (row.loss or 9) < bound <= (before.loss or 0)]
    run = queue(laboratory, SHORT, f"loss<{bound}")
    for crossing in crossings:
        assert_paused_after(laboratory, run, crossing.step)
        assert events(laboratory, run, "break-point")[-1] == (
            crossing.step + 1,
            "break-point",
            f"met: loss<{bound:g}: {crossing.loss:.4g} at step {crossing.step}",
        )
        laboratory.kill_worker()  # it is stored that the run has paused, where, and why
        with laboratory.reader() as reader:
            assert reader.run(run).status is Status.CRASHED
            assert reader.run(run).break_points == (f"loss<{bound:g}",)
        assert laboratory.ask(run, "resume").applied_step == crossing.step + 1
    finished(laboratory, run)
    assert [row.state_hash for row in rows(laboratory, run)] == [row.state_hash for row in calm]


def test_a_decoded_prediction_that_changes_or_matches_pauses_the_run(laboratory: Laboratory) -> None:
    spec = RunSpec.model_validate(
        {
            **BRIEF,
            "init": {"kind": "text", "text": "The dog is happy."},
            "target": "He liked it.",
            "steps": 16,
            "decode_every": 4,
            "lr": 0.02,
        }
    )
    undisturbed = rows(laboratory, finished(laboratory, queue(laboratory, spec)))
    texts = {row.step: row.decoded_prediction for row in undisturbed if row.decoded_prediction is not None}
    assert list(texts) == [0, 4, 8, 12, 16]
    met = {step: ["changed"] for before, step in pairwise(texts) if texts[step] != texts[before]}
    (match,) = [step for before, step in pairwise(texts) if texts[before] != texts[step] == spec.target]
    met[match].append("match")
    assert len(met) > 1
    assert spec.steps not in met  # where there is nothing left to pause

    run = queue(laboratory, spec, "changed", "match")
    for step, conditions in met.items():
        assert_paused_after(laboratory, run, step)
        seen = [detail for at, _, detail in events(laboratory, run, "break-point") if at == step + 1]
        assert seen == [f"met: {condition} at step {step}" for condition in conditions]
        laboratory.ask(run, "resume")
    finished(laboratory, run)
    assert [everything(row) for row in rows(laboratory, run)] == [everything(row) for row in undisturbed]


def test_what_is_not_finite_pauses_the_run_and_it_goes_on(
    laboratory: Laboratory, calm: list[StepRecord]
) -> None:
    run = queue(laboratory, SHORT, "not-finite")
    laboratory.ask(run, "resume", until=12)
    assert_paused_after(laboratory, run, 12)
    laboratory.ask(run, "set", weights={"mse": 1e300})  # infinite in float32
    laboratory.ask(run, "resume")
    laboratory.wait_for_status(run, Status.PAUSED)
    with laboratory.reader() as reader:
        record = reader.run(run)
        (bad,) = reader.steps(run, after=12)
    assert (record.error, record.last_step) == (None, 13)
    assert (bad.loss, bad.lr) == (None, None)
    assert math.isfinite(bad.terms["mse"] or math.inf)
    assert events(laboratory, run, "break-point") == [
        (13, "break-point", "met: not-finite: loss, grad_norm at step 13")
    ]

    # Nothing was changed: it pauses again. The weight taken back, all goes on from before the update that
    # led there.
    answer = laboratory.ask(run, "resume")
    wait_until(lambda: len(events(laboratory, run, "break-point")) == 2, "the second break")
    answer = laboratory.ask(run, "set", weights={"mse": 0})
    assert answer.applied_step in (12, 13)
    laboratory.kill_worker()
    laboratory.ask(run, "resume")
    finished(laboratory, run)
    assert [row.state_hash for row in rows(laboratory, run)] == [row.state_hash for row in calm]
    assert [row.loss for row in rows(laboratory, run)] == [row.loss for row in calm]

    # without the break-point the same weight ends the run
    run = queue(laboratory, SHORT.model_copy(update={"weights": {"ce": 1.0, "mse": 1e300}}))
    laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.FAILED
    # and one that is set afterwards makes it pause when it is tried again
    laboratory.ask(run, "break", when="not-finite")
    laboratory.ask(run, "resume")
    laboratory.wait_for_status(run, Status.PAUSED)
    laboratory.ask(run, "set", weights={"mse": 0})
    laboratory.ask(run, "resume")
    finished(laboratory, run)
    assert [row.state_hash for row in rows(laboratory, run)] == [row.state_hash for row in calm]


def test_break_points_are_set_and_removed_in_every_state_but_finished(
    laboratory: Laboratory, calm: list[StepRecord]
) -> None:
    run = queue(laboratory, ENDLESS, "loss<0.001")
    laboratory.wait_for_step(run, 1)
    seen = laboratory.ask(run, "break", when="z_norm > 0")  # holds already: it is not passed any more
    laboratory.wait_for_step(run, (seen.applied_step or 0) + 3)
    laboratory.ask(run, "pause")
    laboratory.ask(run, "break", when="match")
    laboratory.ask(run, "unbreak", when="loss<0.001")
    laboratory.ask(run, "stop")
    laboratory.ask(run, "break", when="changed")
    laboratory.ask(run, "unbreak", when="match")
    with laboratory.reader() as reader:
        assert reader.run(run).break_points == ("z_norm>0", "changed")
        who = {break_point.who for break_point in reader.break_points(run)}
        assert who == {event.who for event in reader.events(run) if event.kind == "stopped"}
    assert [detail for _, _, detail in events(laboratory, run, "break-point")] == [
        "set: z_norm>0",
        "set: match",
        "removed: loss<0.001",
        "set: changed",
        "removed: match",
    ]
    for kind, arguments, reason in (
        ("break", {"when": "changed"}, "break-point: changed: is set already"),
        ("unbreak", {"when": "match"}, "break-point: match: is not set; there is z_norm>0, changed"),
        ("break", {"when": "soon"}, "break-point: 'soon': allowed are changed, match, not-finite, "),
        ("break", {"when": ["match"]}, "break-point: when: what is needed is a condition"),
        ("break", {}, "break-point: nothing: what is needed is a condition"),
    ):
        assert refusal(laboratory, run, kind, arguments).startswith(reason)
    done = calm[0].run
    assert refusal(laboratory, done, "break", {"when": "match"}) == "the run has ended (finished)"
