"""A compiled run from the queue to its verification."""

import sys

import pytest

from engine.control import queue_run, request_task, wait_for_task
from engine.spec import RunSpec
from engine.store.records import Status
from engine.verdict import Verdict

from .conftest import PATIENCE_S, Laboratory
from .forked_workers import use_forked_workers


def test_it_is_recorded_as_compiled_and_comes_out_again_bit_for_bit(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", sys.executable)  # some program: the toy models' worker compiles without one
    use_forked_workers(monkeypatch, with_toy_models=True)
    spec = RunSpec(device="cpu", steps=4, decode_every=2, beam=1, max_decoded_tokens=4)
    plain, compiled = (
        queue_run(laboratory.database, spec.model_copy(update={"compile": each})) for each in (False, True)
    )
    for run in (plain, compiled):
        laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        records = [reader.run(run) for run in (plain, compiled)]
        losses = [[row.loss for row in reader.all_steps(run)] for run in (plain, compiled)]
        task = request_task(laboratory.database, "verify", run=compiled)
        result = wait_for_task(reader, task, PATIENCE_S).result
    assert [record.status for record in records] == [Status.FINISHED] * 2, records[1].error
    assert [(record.environment or {}).get("compiled") for record in records] == [None, "yes"]
    assert len(losses[1]) == 5
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert result is not None
    verdict = Verdict.from_result(result)
    assert verdict.is_exact
    assert verdict.equal
