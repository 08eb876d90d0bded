"""What a worker leaves of a trajectory: a cross-entropy for each token, and one way through the rows."""

import sqlite3

import pytest

from engine.bundles import find_bundle
from engine.control import queue_run
from engine.spec import parse_spec
from engine.store.records import Status
from engine.tokens import target_pieces
from tests.worker.conftest import Laboratory, wait_until

pytestmark = pytest.mark.usefixtures("forked_workers")


def test_rows_have_the_cross_entropy_of_each_token(laboratory: Laboratory) -> None:
    fields = {"steps": 4, "decode_every": 2, "device": "cpu", "beam": 1, "max_decoded_tokens": 4}
    with_ce = queue_run(laboratory.database, parse_spec(**fields))
    without = queue_run(laboratory.database, parse_spec(weights={"cosine": 1.0}, **fields))
    laboratory.wait_for_end(without)
    with laboratory.reader() as reader:
        run = reader.run(with_ce)
        pieces = target_pieces(find_bundle(run.bundle), run.target)
        rows = list(reader.all_steps(with_ce))
        losses = {row.step: reader.token_losses(with_ce, row.step) for row in rows}
        computed = [step for step in range(5) if reader.token_losses(without, step) is not None]
    assert pieces is not None
    assert "".join(pieces[1:-1]).strip() == run.target
    for row in rows:
        of_row = losses[row.step]
        assert of_row is not None
        assert len(of_row) == len(pieces)
        known = [loss for loss in of_row if loss is not None]
        assert sum(known) / len(pieces) == pytest.approx(row.terms["ce"], rel=1e-3)  # four digits each
    assert computed == [0, 2, 4]


def test_what_is_asked_of_a_run_takes_effect_after_its_recorded_rows(laboratory: Laboratory) -> None:
    """A worker was killed well beyond its last checkpoint: the rows are made again before anything else."""
    run = queue_run(laboratory.database, parse_spec(steps=1000, decode_every=1000, device="cpu", beam=1))
    laboratory.wait_for_step(run, 12)
    laboratory.ask(run, "set", lr=0.02, weights={"cosine": 0.5})
    laboratory.wait_for_step(run, 20)
    laboratory.ask(run, "pause")
    laboratory.kill_worker()
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("DELETE FROM checkpoint")
    with laboratory.reader() as reader:
        first = list(reader.all_steps(run))
        position = len(first)
        # Queued, and not yet held by a worker: what is set now does not concern the recorded rows.
        assert laboratory.ask(run, "resume", steps=5).applied_step == position
        assert laboratory.ask(run, "set", lr=0.002).applied_step in range(position, position + 6)
        wait_until(lambda: reader.run(run).status is Status.PAUSED, "five rows")
        again = list(reader.all_steps(run))
        kinds = [event.kind for event in reader.events(run)]
    assert [row._replace(elapsed_ms=None) for row in again[:position]] == [
        row._replace(elapsed_ms=None) for row in first
    ]
    assert len(again) == position + 5
    assert {row.lr for row in again[position:]} <= {0.02, 0.002}
    assert all(set(row.terms) == {"ce", "cosine"} for row in again[position:])
    assert "remade" not in kinds
