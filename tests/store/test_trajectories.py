"""What a worker records is what readers get."""

import json
import math
import os
import sqlite3
import struct
import subprocess
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.spec import RunSpec, VectorInit
from engine.store.appending import NewRow
from engine.store.reading import Reader
from engine.store.recording import ROWS_LOG_PAGES, Claim, NewStep, Recorder
from engine.store.records import Status
from engine.store.run_changes import Event
from engine.store.searching import search
from engine.store.writing import add_run

from .conftest import step


def test_a_queued_run_has_its_spec_and_the_next_number_of_its_session(database: Path, run: int) -> None:
    second = add_run(database, RunSpec(lr=0.5), device="cpu", session="tests", name="bold")
    other = add_run(database, RunSpec(), device="cpu", session="another")
    with Reader(database) as reader:
        runs = {record.id: record for record in reader.runs()}
        assert [session.name for session in reader.sessions()] == ["tests", "another"]
        assert [session.runs for session in reader.sessions()] == [2, 1]
        assert [record.id for record in reader.runs("tests")] == [run, second]
    assert [runs[key].number for key in (run, second, other)] == [1, 2, 1]
    assert RunSpec.model_validate_json(runs[second].spec) == RunSpec(lr=0.5)
    assert (runs[second].name, runs[second].lr, runs[second].status) == ("bold", 0.5, Status.QUEUED)
    assert (runs[run].init, runs[run].loss_name) == ("I like cheese.", "ce")


def test_rows_come_back_as_they_were_written(database: Path, recorder: Recorder, claim: Claim) -> None:
    hostile = "\x1b[2J[red]oops[/red] \u202e🙂 " + "x" * 10_000
    rows = [
        step(claim.run, 0, decoded_z=hostile, decoded_prediction="I eat cheese.", match=False),
        step(claim.run, 1),
        step(claim.run, 2, decoded_z="", decoded_prediction="Once", match=True, lr=None),
    ]
    for row in rows:
        recorder.record_step(row, {})
    with Reader(database) as reader:
        assert reader.steps(claim.run) == rows
        assert reader.steps(claim.run, after=0, limit=1) == rows[1:2]
        assert list(reader.all_steps(claim.run)) == rows


def test_the_run_shows_its_newest_values(database: Path, recorder: Recorder, claim: Claim) -> None:
    texts = {0: ("a", False), 2: ("hit", True), 4: ("hit", True), 5: ("b", False)}
    for number in range(7):
        text, match = texts.get(number, (None, None))
        recorder.record_step(step(claim.run, number, decoded_prediction=text, match=match), {})
    with Reader(database) as reader:
        record = reader.run(claim.run)
    assert (record.last_step, record.loss) == (6, 3.0 / 7)
    assert (record.decoded_prediction, record.match, record.first_match_step) == ("b", False, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_stored_as_missing(
    database: Path, recorder: Recorder, claim: Claim, value: float
) -> None:
    recorder.record_step(step(claim.run, 0, loss=value, terms={"ce": value}, grad_norm=value), {})
    with Reader(database) as reader:
        (row,) = reader.steps(claim.run)
    assert (row.loss, row.terms, row.grad_norm) == (None, {"ce": None}, None)
    with sqlite3.connect(database) as connection:
        (terms,) = connection.execute("SELECT terms FROM step").fetchone()
    assert json.loads(terms, parse_constant=pytest.fail) == {"ce": None}


def test_vectors_are_little_endian_float32(database: Path, recorder: Recorder, claim: Claim) -> None:
    z = np.array([1.5, -2.0, 3.25e-8], np.float32)
    recorder.record_step(step(claim.run, 0), {"z": z})
    with sqlite3.connect(database) as connection:
        data, dimension = connection.execute("SELECT data, dimension FROM vector WHERE kind = 'z'").fetchone()
    assert (data, dimension) == (struct.pack("<3f", 1.5, -2.0, 3.25e-8), 3)
    with Reader(database) as reader:
        stored = reader.vector(claim.run, 0, "z")
        assert stored is not None
        assert stored.tolist() == z.tolist()
        assert reader.vector(claim.run, 1, "z") is None
        assert [number for number, _ in reader.vectors(claim.run, "z")] == [0]


def test_a_loss_curve_is_the_mean_of_equal_buckets(database: Path, recorder: Recorder, claim: Claim) -> None:
    losses = [float(number * number % 17) for number in range(101)]
    for number, loss in enumerate(losses):
        recorder.record_step(step(claim.run, number, loss=loss), {})
    with Reader(database) as reader:
        curve = reader.loss_curve(claim.run, 10)
        assert reader.loss_curve(claim.run, 200) == losses
    buckets = [[losses[k] for k in range(101) if k * 10 // 101 == bucket] for bucket in range(10)]
    assert curve == pytest.approx([sum(bucket) / len(bucket) for bucket in buckets])


def test_a_run_whose_process_is_gone_is_shown_as_crashed(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    with Reader(database) as reader:
        assert reader.run(claim.run).status is Status.RUNNING
    with sqlite3.connect(database) as connection:  # the pid of this process, but it started at another time
        connection.execute("UPDATE run SET worker_start = replace(worker_start, '/', '/9')")
    with Reader(database) as reader:
        assert reader.run(claim.run).status is Status.CRASHED
    assert recorder.mark_crashed() == [claim.run]
    with Reader(database) as reader:
        record = reader.run(claim.run)
        assert record.status is Status.CRASHED
        assert record.error == f"the worker (process {os.getpid()}) is gone"
        assert [event.kind for event in reader.events(claim.run)] == ["created", "started", "crashed"]


def test_a_worker_beats_for_its_own_runs_alone(database: Path, recorder: Recorder, claim: Claim) -> None:
    """Its pid may have been another worker's before the machine was started again."""
    recorder.beat(os.getpid())
    with sqlite3.connect(database) as connection:
        (alive,) = connection.execute("SELECT heartbeat FROM run").fetchone()
        assert time.time() - alive < 60
        connection.execute("UPDATE run SET worker_start = 'earlier/1', heartbeat = 1000")
    connection.close()
    recorder.beat(os.getpid())
    with Reader(database) as reader:
        record = reader.run(claim.run)
    assert (record.heartbeat, record.status) == (1000, Status.CRASHED)


def test_of_an_ended_run_the_last_checkpoint_stays(database: Path, recorder: Recorder, claim: Claim) -> None:
    recorder.record_step(step(claim.run, 49), {}, b"at 50")
    recorder.record_step(step(claim.run, 99), {}, b"at 100")
    recorder.record_step(step(claim.run, 100, lr=None), {}, b"at the end")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT step FROM checkpoint").fetchall() == [(50,), (100,)]
        recorder.end(claim.run, 100, Status.FINISHED, Event("finished", "match"))
        assert connection.execute("SELECT step, data FROM checkpoint").fetchall() == [(100, b"at the end")]


def test_a_row_that_is_made_again_replaces_the_first(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    recorder.record_step(step(claim.run, 0, loss=1.0), {"z": np.ones(2, np.float32)})
    recorder.record_step(step(claim.run, 0, loss=2.0), {"z": np.zeros(2, np.float32)})
    with Reader(database) as reader:
        (row,) = reader.steps(claim.run)
        z = reader.vector(claim.run, 0, "z")
    assert row.loss == 2.0
    assert z is not None
    assert z.tolist() == [0.0, 0.0]


def test_a_row_that_is_made_again_otherwise_is_told(database: Path, recorder: Recorder, claim: Claim) -> None:
    """It was not finite, and other weights made it so."""
    recorder.record_step(step(claim.run, 0, loss=float("nan"), lr=None), {})
    recorder.record_step(step(claim.run, 0, loss=2.0), {})
    with Reader(database) as reader:
        event = reader.events(claim.run)[-1]
    assert (event.kind, event.step, event.detail) == ("remade", 0, "from step 0 on")


def test_a_last_row_from_which_the_run_goes_on_after_all_is_the_same_row(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    recorder.record_step(step(claim.run, 0, loss=2.0, lr=None), {})
    recorder.record_step(step(claim.run, 0, loss=2.0), {})
    with Reader(database) as reader:
        assert [row.lr for row in reader.steps(claim.run)] == [0.01]
        assert "remade" not in [event.kind for event in reader.events(claim.run)]


def test_a_run_that_goes_the_same_way_again_keeps_the_rows_beyond(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    rows = [step(claim.run, number) for number in range(6)]
    for again in (*rows, *rows[2:4]):
        recorder.record_step(again, {"z": np.full(2, again.step, np.float32)})
    with Reader(database) as reader:
        assert reader.steps(claim.run) == rows
        assert [number for number, _ in reader.vectors(claim.run, "z")] == [0, 1, 2, 3, 4, 5]
        assert "remade" not in [event.kind for event in reader.events(claim.run)]


@pytest.mark.parametrize("change", [{"lr": 0.005}, {"loss": 7.0}, {"state_hash": "f" * 16}])
def test_a_run_that_goes_another_way_drops_the_rows_beyond_and_says_so(
    database: Path, recorder: Recorder, claim: Claim, change: dict[str, object]
) -> None:
    z = np.ones(2, np.float32)
    rows = [step(claim.run, number) for number in range(6)]
    for row in rows:
        recorder.record_step(row, {"z": z})
    changed = step(claim.run, 3, **change)
    recorder.record_step(changed, {"z": z})
    with Reader(database) as reader:
        assert reader.steps(claim.run) == [*rows[:3], changed]
        assert [number for number, _ in reader.vectors(claim.run, "z")] == [0, 1, 2, 3]
        event = reader.events(claim.run)[-1]
        assert reader.vector(claim.run, 0, "init") is not None
    assert (event.kind, event.step) == ("remade", 3)
    assert event.detail == "from step 3 on; earlier rows up to step 5 are dropped"
    for row in rows[4:]:
        recorder.record_step(row, {"z": z})
    with Reader(database) as reader:
        assert reader.steps(claim.run) == [*rows[:3], changed, *rows[4:]]
        assert [event.kind for event in reader.events(claim.run)].count("remade") == 1


def test_rows_are_read_from_the_end_too(database: Path, recorder: Recorder, claim: Claim) -> None:
    rows = [step(claim.run, number) for number in range(10)]
    for row in rows:
        recorder.record_step(row, {})
    with Reader(database) as reader:
        assert reader.last_steps(claim.run, limit=4) == rows[6:]
        assert reader.last_steps(claim.run, before=6, limit=4) == rows[2:6]
        assert reader.last_steps(claim.run, before=2, limit=4) == rows[:2]
        assert reader.last_steps(claim.run, before=0) == []


def test_token_losses_are_kept_with_their_row_to_four_digits(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    losses = (1.23456789, 3.3e-7, 12345.678, math.nan, math.inf, 0.0)
    recorder.record_step(step(claim.run, 0), {}, token_losses=losses)
    recorder.record_step(step(claim.run, 1), {})
    with Reader(database) as reader:
        assert reader.token_losses(claim.run, 0) == (1.235, 3.3e-7, 12350.0, None, None, 0.0)
        assert reader.token_losses(claim.run, 1) is None
        assert reader.token_losses(claim.run, 2) is None


def test_break_points_and_weights_in_force_belong_to_their_run(database: Path, run: int) -> None:
    other = add_run(database, RunSpec(weights={"ce": 1.0, "cosine": 0.5}), device="cpu", session="tests")
    with sqlite3.connect(database) as connection:
        connection.executemany(
            "INSERT INTO break_point (run, condition, created, who) VALUES (?, ?, ?, 'me@here')",
            [(run, "match", 1.0), (other, "match", 2.0), (run, "loss<0.2", 3.0)],
        )
        connection.execute("UPDATE run SET weights = ? WHERE id = ?", (json.dumps({"ce": 0.25}), run))
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(
                "INSERT INTO break_point (run, condition, created, who) VALUES (?, 'match', 4.0, '')", (run,)
            )
    with Reader(database) as reader:
        runs = {record.id: record for record in reader.runs()}
        assert [point.condition for point in reader.break_points(run)] == ["match", "loss<0.2"]
        assert [(point.run, point.created, point.who) for point in reader.break_points(other)] == [
            (other, 2.0, "me@here")
        ]
    assert runs[run].break_points == ("match", "loss<0.2")
    assert runs[other].break_points == ("match",)
    assert runs[run].weights == {"ce": 0.25}
    assert runs[other].weights == {"ce": 1.0, "cosine": 0.5}


def test_deleting_a_run_takes_everything_of_it_along(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    recorder.record_step(step(claim.run, 0), {"z": np.ones(2, np.float32)}, b"checkpoint")
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM run")
        for table in ("step", "vector", "event", "checkpoint"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert add_run(database, RunSpec(), device="cpu", session="tests") == claim.run + 1


def test_a_missing_run_is_named(database: Path, run: int) -> None:
    with Reader(database) as reader, pytest.raises(UserError, match="there is no run 77"):
        reader.run(77)


def test_a_vector_to_start_from_travels_with_the_run(database: Path, recorder: Recorder) -> None:
    spec, z = RunSpec(init=VectorInit(run=1, step=3)), np.array([1, 2, 3], np.float32)
    first = recorder.claim(os.getpid())
    run = add_run(database, spec, device="cpu", session="tests", initial=z)
    claim = recorder.claim(os.getpid())
    assert first is not None
    assert first.initial is None
    assert claim is not None
    assert claim.run == run
    assert claim.initial is not None
    assert claim.initial.tolist() == [1, 2, 3]


def test_a_beat_copies_the_log_that_a_recorder_of_many_rows_lets_grow(
    database: Path, run: int, tmp_path: Path
) -> None:
    """What is in the database itself, without its log, is what a power cut leaves at least."""

    def rows_in_file() -> int:
        copy = tmp_path / "copy.db"
        subprocess.run(["cp", database, copy], check=True)  # to open and close it here would drop its locks
        with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM step").fetchone()[0])

    recorder = Recorder(database, "cpu", report=pytest.fail, log_pages=ROWS_LOG_PAGES)
    heart = Recorder(database, "cpu", report=pytest.fail)
    recorder.claim(os.getpid())
    vectors = {kind: np.zeros(100_000, np.float32) for kind in ("z", "prediction")}  # 200 pages a row
    for number in range(8):
        recorder.record_step(step(run, number), vectors)
    assert rows_in_file() == 0
    heart.beat(os.getpid())
    assert rows_in_file() == 8
    for number in range(8, 40):
        recorder.record_step(step(run, number), vectors)
    assert rows_in_file() > 8
    recorder.close()
    heart.close()


def test_rows_that_are_there_and_rows_that_are_not_are_recorded_together(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    other = add_run(database, RunSpec(), device="cpu", session="tests")
    old = step(claim.run, 0, decoded_z="a", decoded_prediction="b", match=False)
    recorder.record_step(old, {"z": np.zeros(2, np.float32)})
    new = step(other, 0, decoded_z="a", decoded_prediction="c", match=True)
    ones = {"z": np.ones(2, np.float32)}
    again = old._replace(decoded_z=None, decoded_prediction=None, match=None)
    recorder.record_steps([NewStep(NewRow(again, ones)), NewStep(NewRow(new, ones))])
    with Reader(database) as reader:
        assert [*reader.steps(claim.run), *reader.steps(other)] == [old, new]
        found = {(hit.run, hit.kind, hit.text) for word in "abc" for hit in search(reader, word)}
        z = [reader.vector(each, 0, "z") for each in (claim.run, other)]
    assert found == {
        (claim.run, "z", "a"),
        (claim.run, "prediction", "b"),
        (other, "z", "a"),
        (other, "prediction", "c"),
    }
    assert all(vector is not None and vector[0] == 1 for vector in z)


def test_a_lost_row_is_made_again_although_its_texts_and_vectors_are_there(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    def record(said: str, value: float) -> None:
        row = step(claim.run, 0, decoded_z=said, decoded_prediction=said, match=False)
        recorder.record_step(row, {"z": np.full(2, value, np.float32)})

    record("before", 1.0)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM step")
    record("again", 2.0)
    with Reader(database) as reader:
        z = reader.vector(claim.run, 0, "z")
        assert (len(search(reader, "before")), len(search(reader, "again"))) == (0, 2)
    assert z is not None
    assert z[0] == 2.0
