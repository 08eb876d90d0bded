"""Rows of several runs in one transaction, and rows that are made again in other company."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.batched import BATCHED
from engine.spec import RunSpec
from engine.store.appending import NewRow
from engine.store.reading import Reader
from engine.store.recording import Claim, NewStep, Recorder
from engine.store.records import Status
from engine.store.run_changes import Event
from engine.store.writing import add_run

from .conftest import step


def test_the_rows_of_a_step_are_there_all_or_none(database: Path, recorder: Recorder, claim: Claim) -> None:
    other = add_run(database, RunSpec(), device="cpu", session="tests")
    rows = [step(claim.run, 0), step(other, 0, loss=5.0)]
    recorder.record_steps([NewStep(NewRow(row), events=[Event("paused", "here")]) for row in rows])
    nobody = step(999, 1)
    with pytest.raises(sqlite3.IntegrityError):
        recorder.record_steps([NewStep(NewRow(row)) for row in (step(claim.run, 1), nobody)])
    with Reader(database) as reader:
        assert [*reader.steps(claim.run), *reader.steps(other)] == rows
        assert [reader.events(run)[-1].detail for run in (claim.run, other)] == ["here", "here"]


def test_a_chosen_run_is_claimed_while_it_is_queued(database: Path, recorder: Recorder, claim: Claim) -> None:
    runs = [add_run(database, RunSpec(lr=lr), device="cpu", session="tests") for lr in (0.1, 0.2, 0.3)]
    assert [(run, in_force.lr) for run, in_force in recorder.queued(2)] == [(runs[0], 0.1), (runs[1], 0.2)]
    chosen = recorder.claim(1, runs[1])
    assert chosen is not None
    assert chosen.run == runs[1]
    assert recorder.claim(1, runs[1]) is None
    assert [run for run, _ in recorder.queued(9)] == [runs[0], runs[2]]
    recorder.put_back(runs[1], 0, Status.QUEUED, Event("regrouped", "too many"))
    assert [run for run, _ in recorder.queued(9)] == runs


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        ({"loss": 0.7501}, True),
        ({"grad_norm": 2.001, "state_hash": "f" * 16}, True),
        ({"loss": 0.76}, False),
        ({"lr": 0.005}, False),
        ({"loss": float("nan")}, False),
    ],
)
def test_rows_that_agree_stay_as_they_were_recorded(
    database: Path, recorder: Recorder, claim: Claim, change: dict[str, Any], stays: bool
) -> None:
    recorder.add_event(claim.run, 0, Event(BATCHED, "2 runs together: 1, 2"))
    rows = [step(claim.run, number) for number in range(6)]
    for row in rows:
        recorder.record_step(row, {"z": np.full(2, row.step, np.float32)})
    again = rows[3]._replace(**{"state_hash": "e" * 16, **change})
    recorder.record_step(again, {"z": np.full(2, 3.001, np.float32)}, b"checkpoint")
    with Reader(database) as reader:
        kinds = [event.kind for event in reader.events(claim.run)]
        assert ("remade" in kinds) is not stays
        assert [row.step for row in reader.steps(claim.run)] == list(range(6 if stays else 4))
        assert (reader.steps(claim.run)[3] == rows[3]) is stays
        z = reader.vector(claim.run, 3, "z")
        assert z is not None
        assert z[0] == np.float32(3.0 if stays else 3.001)
        assert reader.checkpoint(claim.run, 4) == b"checkpoint"


def test_the_last_row_of_a_run_that_goes_on_gets_its_update(
    database: Path, recorder: Recorder, claim: Claim
) -> None:
    """The run was extended, and goes on in other company: what was decoded of the last row stays."""
    recorder.add_event(claim.run, 0, Event(BATCHED, "2 runs together: 1, 2"))
    recorder.record_step(step(claim.run, 0, lr=None, decoded_z="a", decoded_prediction="b", match=False), {})
    recorder.record_step(step(claim.run, 0, loss=3.0001, state_hash="e" * 16), {})
    with Reader(database) as reader:
        (row,) = reader.steps(claim.run)
        assert (row.lr, row.loss, row.decoded_z, row.decoded_prediction) == (0.01, 3.0001, "a", "b")
        assert "remade" not in [event.kind for event in reader.events(claim.run)]
