"""What a worker leaves of a trajectory: a cross-entropy for each token, and one way through the rows."""

import sqlite3

import pytest

from engine.bundles import find_bundle
from engine.control import queue_run
from engine.spec import parse_spec
from engine.store.records import Status
from engine.tokens import target_pieces
from tests.worker.conftest import Laboratory, wait_until


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


def test_rows_beyond_a_checkpoint_do_not_outlive_another_lr(laboratory: Laboratory) -> None:
    """A worker was killed well beyond its last checkpoint; the lr is changed before the rows are back."""
    run = queue_run(laboratory.database, parse_spec(steps=1000, decode_every=1000, device="cpu", beam=1))
    laboratory.wait_for_step(run, 12)
    laboratory.ask(run, "pause")
    laboratory.kill_worker()
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("DELETE FROM checkpoint")
    with laboratory.reader() as reader:
        first = list(reader.all_steps(run))
        laboratory.ask(run, "resume", steps=5)
        wait_until(lambda: reader.run(run).status is Status.PAUSED, "five rows")
        assert [row.state_hash for row in reader.all_steps(run)] == [row.state_hash for row in first]
        laboratory.ask(run, "set", lr=0.002)
        laboratory.ask(run, "resume", steps=3)
        wait_until(lambda: reader.run(run).status is Status.PAUSED, "three more")
        again = list(reader.all_steps(run))
        kinds = [event.kind for event in reader.events(run)]
    assert [row.step for row in again] == list(range(8))
    assert [row.lr for row in again] == [0.01] * 5 + [0.002] * 3
    assert [row.state_hash for row in again[:6]] == [row.state_hash for row in first[:6]]
    assert again[6].state_hash != first[6].state_hash
    assert kinds.count("remade") == 1
