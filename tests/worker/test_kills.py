"""`kill -9` of the worker at any moment: what was there stays, and the run goes on as if nothing had been."""

import random

import pytest

import engine.control
from engine.control import queue_run
from engine.spec import RunSpec
from engine.store.records import Status

from .conftest import Laboratory, wait_until
from .forked_workers import use_forked_workers
from .records import everything_stored

KILLS = 20
SPEC = RunSpec(device="cpu", steps=300, decode_every=25, beam=1, max_decoded_tokens=4, lr=0.001)


def test_a_run_killed_twenty_times_is_the_run_that_was_left_alone(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_forked_workers(monkeypatch, with_toy_models=True)
    calm = queue_run(laboratory.database, SPEC, session="tests")
    laboratory.wait_for_end(calm)
    moments = random.Random(20)
    run = queue_run(laboratory.database, SPEC, session="tests")
    kills = 0
    with laboratory.reader() as reader:
        while kills < KILLS:
            seen = reader.run(run).last_step or 0
            # Up to 60 rows later, or while it loads, or in the middle of making rows again.
            target = seen + moments.choice([-1, 0, moments.randrange(1, 25), moments.randrange(1, 60)])
            laboratory.wait_for_step(run, min(target, SPEC.steps - 1))
            wait_until(laboratory.worker, "the worker")
            acknowledged = reader.steps(run)
            laboratory.kill_worker()
            kills += 1
            assert [row.state_hash for row in reader.steps(run)[: len(acknowledged)]] == [
                row.state_hash for row in acknowledged
            ]
            status = reader.run(run).status
            assert status in (Status.CRASHED, Status.QUEUED), f"after kill {kills}"
            assert laboratory.integrity() == "ok"
            if status is Status.QUEUED:  # no worker had taken it up yet
                engine.control.ensure_worker(laboratory.database, "cpu")
            else:
                laboratory.ask(run, "resume")
        laboratory.wait_for_end(run)
        assert reader.run(run).status is Status.FINISHED
        kinds = [event.kind for event in reader.events(run)]
    assert kinds.count("crashed") >= KILLS // 2
    assert "remade" not in kinds
    assert everything_stored(laboratory.database, run) == everything_stored(laboratory.database, calm)
