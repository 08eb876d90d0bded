"""Verification: a record that is as it was made comes out again, and one that was changed is found out."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from importlib.metadata import version

import numpy as np
import pytest

from engine.control import queue_run, request_task, wait_for_task
from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.records import Status, TaskRecord
from engine.verdict import Verdict

from .conftest import PATIENCE_S, Laboratory
from .forked_workers import use_forked_workers

SPEC = RunSpec(device="cpu", steps=14, decode_every=7, beam=1, max_decoded_tokens=6, lr=0.03, norm=0.5)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """One database and one worker for all tests here."""
    laboratory = Laboratory(tmp_path_factory.mktemp("verification") / "sessions.db")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_forked_workers(monkeypatch)
        yield laboratory
    laboratory.kill_worker()


@pytest.fixture(scope="module")
def run(laboratory: Laboratory) -> int:
    """A run with a history: paused, lr and weights changed, killed, stopped, extended."""
    run = queue_run(laboratory.database, SPEC, session="tests")
    laboratory.ask(run, "resume", until=4)
    laboratory.wait_for_status(run, Status.PAUSED)
    laboratory.ask(run, "set", lr=0.0123456789, weights={"cosine": 0.1234567})
    laboratory.ask(run, "resume", until=6)
    laboratory.wait_for_status(run, Status.PAUSED)
    laboratory.kill_worker()
    laboratory.ask(run, "resume", until=9)
    laboratory.wait_for_status(run, Status.PAUSED)
    laboratory.ask(run, "set", weights={"ce": 0, "cosine": 1})
    laboratory.ask(run, "stop")
    laboratory.ask(run, "resume")
    laboratory.wait_for_end(run)
    laboratory.ask(run, "extend", steps=3)
    laboratory.wait_for_end(run)
    return run


def verified(laboratory: Laboratory, run: int, **arguments: int) -> TaskRecord:
    with laboratory.reader() as reader:
        task = request_task(laboratory.database, "verify", run=run, arguments=arguments)
        return wait_for_task(reader, task, PATIENCE_S)


def verdict(laboratory: Laboratory, run: int, **arguments: int) -> Verdict:
    task = verified(laboratory, run, **arguments)
    assert task.result is not None, task
    return Verdict.from_result(task.result)


@pytest.fixture
def tampered(laboratory: Laboratory, run: int) -> Iterator[Callable[..., None]]:
    """Change something in the record; it is put back afterwards."""
    undo: list[tuple[str, tuple[object, ...]]] = []

    def tamper(table: str, column: str, value: object, where: str) -> None:
        with sqlite3.connect(laboratory.database) as connection:
            ((before,),) = connection.execute(
                f"SELECT {column} FROM {table} WHERE run = ? AND {where}", (run,)
            ).fetchall()
            undo.append((f"UPDATE {table} SET {column} = ? WHERE run = ? AND {where}", (before, run)))
            connection.execute(undo[-1][0], (value, run))
        connection.close()

    yield tamper
    with sqlite3.connect(laboratory.database) as connection:
        for statement, values in undo:
            connection.execute(statement, values)
    connection.close()


def test_a_run_with_a_history_comes_out_again_bit_for_bit(laboratory: Laboratory, run: int) -> None:
    task = verified(laboratory, run)
    assert (task.status, task.done) == ("done", task.total)
    result = task.result
    assert result is not None
    assert (result["equal"], result["exact"], result["first"], result["largest"]) == (True, True, None, [])
    assert result["summary"] == "all equal, bit for bit: 18 rows (steps 0 to 17)"
    with laboratory.reader() as reader:
        event = reader.events(run)[-1]
        assert reader.run(run).status is Status.FINISHED
    assert (event.kind, event.step, event.detail) == ("verified", None, result["summary"])
    assert event.who == task.who
    assert verdict(laboratory, run, to=5).last_step == 5


@pytest.mark.parametrize(
    ("table", "column", "value", "step", "field"),
    [
        ("step", "loss", 0.25, 6, "loss"),
        ("step", "terms", '{"ce": 1.5, "cosine": 0.5}', 6, "loss"),
        ("step", "similarity", 0.75, 11, "similarity"),
        ("step", "grad_norm", None, 3, "grad_norm"),
        ("step", "decoded_z", "I was here.", 7, "decoded_z"),
        ("step", "decoded_prediction", "Somebody else.\x1b[2J", 14, "decoded_prediction"),
        ("step", "match", 1, 7, "match"),
        ("step", "state_hash", "0" * 16, 12, "state_hash"),
        ("step", "lr", None, 2, "lr"),
        ("vector", "data", None, 9, "z"),
        ("vector", "data", None, 7, "prediction"),
    ],
)
def test_a_changed_record_is_found_out(
    laboratory: Laboratory,
    run: int,
    tampered: Callable[..., None],
    table: str,
    column: str,
    value: object,
    step: int,
    field: str,
) -> None:
    where = f"step = {step}"
    recorded: float | str | None = None if isinstance(value, str) and field == "loss" else value  # type: ignore[assignment]
    if table == "vector":
        where += f" AND kind = '{field}'"
        with laboratory.reader() as reader:
            vector = reader.vector(run, step, field)
        assert vector is not None
        vector = vector.copy()
        vector[5] = np.nextafter(vector[5], np.float32(9))  # the smallest change that there is
        value, recorded = vector.tobytes(), None
    tampered(table, column, value, where)
    found = verdict(laboratory, run)
    assert not found.equal
    assert found.first is not None
    if column == "terms":
        assert (found.first.step, found.first.field, found.first.recorded) == (6, "terms.ce", 1.5)
        return
    assert (found.first.step, found.first.field) == (step, field)
    assert found.first.recorded == recorded
    assert found.differing_rows == 1
    if field in ("loss", "similarity"):
        assert isinstance(found.first.now, float)
        assert isinstance(value, float)
        assert found.first.size == abs(value - found.first.now) > 0
        assert found.largest == (found.first,)
    assert f"differs from step {step}: {field}" in found.summary
    assert found.summary.endswith("1 of 18 rows (steps 0 to 17)")
    assert verdict(laboratory, run, to=step - 1).equal


def test_a_row_that_was_taken_out_is_missed(laboratory: Laboratory) -> None:
    run = queue_run(laboratory.database, SPEC.model_copy(update={"steps": 6}), session="tests")
    laboratory.wait_for_end(run)
    for step, what in ((3, "step = 3"), (2, "step >= 2")):
        with sqlite3.connect(laboratory.database) as connection:
            connection.execute(f"DELETE FROM step WHERE run = ? AND {what}", (run,))
        connection.close()
        found = verdict(laboratory, run)
        if step == 3:
            assert found.first is not None
            assert (found.first.step, found.first.field) == (3, "row")
        else:
            assert found.equal
            assert found.last_step == 1  # the record says no more


@pytest.mark.parametrize(
    ("name", "recorded", "now"), [("torch", "2.0", version("torch")), ("compiled", "yes", "no")]
)
def test_on_another_ground_tolerances_hold_and_it_says_what_is_other(
    laboratory: Laboratory, run: int, tampered: Callable[..., None], name: str, recorded: str, now: str
) -> None:
    with sqlite3.connect(laboratory.database) as connection:
        (stored,) = connection.execute("SELECT environment FROM run WHERE id = ?", (run,)).fetchone()
        ((loss,),) = connection.execute("SELECT loss FROM step WHERE run = ? AND step = 4", (run,)).fetchall()
        other = {**json.loads(stored), name: recorded, "host": "elsewhere"}
        connection.execute("UPDATE run SET environment = ? WHERE id = ?", (json.dumps(other), run))
    connection.close()
    try:
        tampered("step", "loss", loss * (1 + 1e-5), "step = 4")
        tampered("step", "state_hash", "0" * 16, "step = 4")
        found = verdict(laboratory, run)
        assert found.equal
        assert not found.is_exact
        assert [difference.field for difference in found.largest] == ["loss"]
        assert "all equal within tolerance: 18 rows" in found.summary
        assert found.other_ground == (f"{name}: {now}, recorded with {recorded}",)
    finally:
        with sqlite3.connect(laboratory.database) as connection:
            connection.execute("UPDATE run SET environment = ? WHERE id = ?", (stored, run))
        connection.close()


def test_what_cannot_be_verified_is_said_at_once(laboratory: Laboratory, run: int) -> None:
    for arguments, line in (
        ({"to": 18}, f"to: 18: run {run} has rows 0 to 17"),
        ({"to": -1}, f"to: -1: run {run} has rows 0 to 17"),
        ({"by": 1}, "verify: by: what can be given is to"),
    ):
        with pytest.raises(UserError, match=line):
            request_task(laboratory.database, "verify", run=run, arguments=arguments)
    with pytest.raises(UserError, match="there is no run 99"):
        request_task(laboratory.database, "verify", run=99)
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("UPDATE run SET origin = 'published' WHERE id = ?", (run,))
    connection.close()
    with pytest.raises(
        UserError, match=rf"run {run}: is published, and was never run here: there is nothing"
    ):
        request_task(laboratory.database, "verify", run=run)
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("UPDATE run SET origin = 'recorded' WHERE id = ?", (run,))
    connection.close()
