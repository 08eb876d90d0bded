"""The worker as its users meet it: a process of its own that obeys, records, survives and leaves."""

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys

import pytest

from engine.control import ensure_worker, queue_run, request, request_worker_stop, wait_for_command
from engine.errors import UserError
from engine.process import is_alive
from engine.spec import RunSpec
from engine.store.records import Status
from engine.store.writing import add_command
from engine.workerfiles import worker_log

from .conftest import PATIENCE_S, Laboratory, wait_until

LONG = RunSpec(device="cpu", steps=100_000, decode_every=100_000, beam=1, max_decoded_tokens=4)
SHORT = RunSpec(device="cpu", steps=60, decode_every=60, beam=1, max_decoded_tokens=4)


def test_commands_are_acknowledged_with_the_step_they_took_effect_at(laboratory: Laboratory) -> None:
    run = queue_run(laboratory.database, LONG, session="tests")
    laboratory.wait_for_step(run, 3)

    # lr: in force from the acknowledged step, not before, and told as an event
    answer = laboratory.ask(run, "set", lr=0.002)
    assert answer.status == "applied"
    assert answer.applied_step is not None
    laboratory.wait_for_step(run, answer.applied_step + 3)
    with laboratory.reader() as reader:
        rows = reader.steps(run)
        assert [row.lr for row in rows] == [0.01 if row.step < answer.applied_step else 0.002 for row in rows]
        (event,) = [event for event in reader.events(run) if event.kind == "lr"]
    assert (event.step, event.detail) == (answer.applied_step, "0.01 → 0.002")

    # pause: no row after the acknowledged step
    answer = laboratory.ask(run, "pause")
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.PAUSED
        assert reader.run(run).last_step == answer.applied_step - 1 if answer.applied_step else None
    assert laboratory.ask(run, "pause").reason == "the run is paused already"

    # a paused run does not keep others from running
    other = queue_run(laboratory.database, SHORT, session="tests")
    laboratory.wait_for_end(other)
    with laboratory.reader() as reader:
        assert reader.run(other).status is Status.FINISHED
        assert [row.step for row in reader.steps(other)] == list(range(61))
        assert reader.run(run).last_step == answer.applied_step - 1 if answer.applied_step else None
    with pytest.raises(UserError, match=rf"run {other}: has ended \(finished\)"):
        request(laboratory.database, other, "pause")

    # resume goes on with the very next step
    resumed = laboratory.ask(run, "resume")
    assert resumed.applied_step == answer.applied_step
    laboratory.wait_for_step(run, (resumed.applied_step or 0) + 2)
    assert laboratory.ask(run, "stop").status == "applied"
    with laboratory.reader() as reader:
        record = reader.run(run)
        assert record.status is Status.STOPPED
        steps = [row.step for row in reader.steps(run)]
        assert steps == list(range(len(steps)))
        kinds = [event.kind for event in reader.events(run)]
    assert kinds == ["created", "started", "lr", "paused", "resumed", "stopped"]

    # asked to leave, the worker pauses what is running and lets go of it
    run = queue_run(laboratory.database, LONG, session="tests")
    laboratory.wait_for_step(run, 1)
    worker = laboratory.worker()
    assert worker is not None
    assert request_worker_stop(laboratory.database, "cpu") is not None
    wait_until(lambda: not is_alive(worker.pid, worker.start), "the worker to leave")
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.PAUSED
        assert reader.workers() == []
        left_at = reader.run(run).last_step

    # and a later worker takes it up where it was
    answer = laboratory.ask(run, "resume")
    assert answer.applied_step == (left_at or 0) + 1
    laboratory.wait_for_step(run, (left_at or 0) + 2)
    log = worker_log(laboratory.database, "cpu")
    assert f"run {run}: started at step {answer.applied_step}" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_kill_9_loses_nothing_that_was_there_and_the_run_goes_on_bit_for_bit(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many threads as there are cores, as users have it."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # they do not keep a core busy while they wait
    calm = queue_run(laboratory.database, SHORT, session="tests")
    laboratory.wait_for_end(calm)
    run = queue_run(laboratory.database, SHORT, session="tests")
    laboratory.wait_for_step(run, random.randrange(5, 55))
    with laboratory.reader() as reader:
        acknowledged = reader.steps(run)
    laboratory.kill_worker()

    with laboratory.reader() as reader:
        assert reader.steps(run)[: len(acknowledged)] == acknowledged
        assert reader.run(run).status is Status.CRASHED
        for row in acknowledged:
            assert reader.vector(run, row.step, "z") is not None
    assert laboratory.integrity() == "ok"

    laboratory.ask(run, "resume")
    laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.FINISHED
        again, undisturbed = reader.steps(run), reader.steps(calm)
        assert [row.state_hash for row in again] == [row.state_hash for row in undisturbed]
        assert [row.loss for row in again] == [row.loss for row in undisturbed]
        assert "crashed" in [event.kind for event in reader.events(run)]


@pytest.mark.usefixtures("forked_workers")
def test_a_run_whose_worker_is_only_found_dead_later_can_be_resumed(laboratory: Laboratory) -> None:
    """The machine was restarted within seconds: a new worker could not know yet that the old one is gone."""
    run = queue_run(laboratory.database, SHORT, session="tests")
    laboratory.wait_for_end(run)
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute(
            "UPDATE run SET status = 'running', ended = NULL, worker_pid = 1, worker_start = 'earlier/1',"
            " heartbeat = 0 WHERE id = ?",
            (run,),
        )
        connection.execute("DELETE FROM step WHERE step > 20")
        connection.execute("DELETE FROM checkpoint")
    connection.close()
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.CRASHED
    answer = laboratory.ask(run, "resume")
    assert (answer.status, answer.applied_step) == ("applied", 21)
    laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.FINISHED
        assert [event.kind for event in reader.events(run)][-4:] == [
            "crashed",
            "resumed",
            "started",
            "finished",
        ]


@pytest.mark.usefixtures("forked_workers")
def test_a_run_does_not_go_on_with_other_weights_than_it_began_with(laboratory: Laboratory) -> None:
    run = queue_run(laboratory.database, SHORT, session="tests")
    laboratory.wait_for_end(run)
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("UPDATE run SET bundle_digest = 'fedcba9876543210' || bundle_digest")
    connection.close()
    with laboratory.reader() as reader:
        before = reader.steps(run)
        laboratory.ask(run, "extend", steps=10)
        laboratory.wait_for_end(run)
        record = reader.run(run)
        assert (record.status, record.last_step) == (Status.FAILED, 60)
        assert record.error is not None
        assert record.error.startswith("bundle: mini has other weights now than when the run began (")
        assert "fedcba98" in record.error
        assert reader.steps(run) == before


@pytest.mark.usefixtures("forked_workers")
def test_an_idle_worker_leaves_and_its_paused_run_stays_paused(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONAR_EXPLORE_IDLE_MINUTES", "0.02")
    run = queue_run(laboratory.database, LONG, session="tests")
    laboratory.wait_for_step(run, 1)
    worker = laboratory.worker()
    assert worker is not None
    laboratory.ask(run, "pause")
    wait_until(lambda: not is_alive(worker.pid, worker.start), "the worker to leave")
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.PAUSED
        assert reader.workers() == []
        assert reader.events(run)[-1].detail == "the worker left after its idle time"


def test_a_worker_has_a_process_session_of_its_own_and_is_the_only_one(laboratory: Laboratory) -> None:
    run = queue_run(laboratory.database, LONG.model_copy(update={"bundle": "mini"}), session="tests")
    wait_until(laboratory.worker, "the worker")
    worker = laboratory.worker()
    assert worker is not None
    assert os.getsid(worker.pid) == worker.pid != os.getsid(0)
    second = subprocess.run(
        [sys.executable, "-m", "engine.worker", "--db", str(laboratory.database), "--device", "cpu"],
        timeout=PATIENCE_S,
        check=False,
    )
    assert second.returncode == 0
    ensure_worker(laboratory.database, "cpu")
    assert laboratory.worker() is not None
    assert laboratory.worker().pid == worker.pid  # type: ignore[union-attr]

    # SIGTERM, as at a shutdown: the run is kept, paused
    laboratory.wait_for_step(run, 1)
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(worker.pid, worker.start), "the worker to leave")
    with laboratory.reader() as reader:
        assert reader.run(run).status is Status.PAUSED


def test_what_cannot_be_loaded_fails_the_run_with_one_clear_line(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("engine.control.default_device", lambda: "cuda:0")  # as if the driver showed one
    run = queue_run(laboratory.database, RunSpec(device="cuda:7"), session="tests")
    laboratory.wait_for_end(run)
    with laboratory.reader() as reader:
        record = reader.run(run)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert "cuda:7" in record.error
    assert "\n" not in record.error


@pytest.mark.usefixtures("forked_workers")
def test_rows_that_make_no_sense_are_answered_and_the_worker_lives_on(laboratory: Laboratory) -> None:
    run = queue_run(laboratory.database, LONG, session="tests")
    laboratory.wait_for_step(run, 1)
    odd = queue_run(laboratory.database, SHORT, session="tests")
    with sqlite3.connect(laboratory.database) as connection:
        connection.execute("UPDATE run SET spec = '{\"lr\": -1}' WHERE id = ?", (odd,))
        unreadable = {
            connection.execute(
                "INSERT INTO command (run, device, kind, arguments, requested, who, status)"
                " VALUES (?, 'cpu', ?, ?, 0, 'somebody', 'pending')",
                (of, kind, arguments),
            ).lastrowid
            or 0
            for of, kind, arguments in (
                (run, "set", '{"lr": 0.0'),
                (run, "pause", "[]"),
                (run, "stop", "[" * 100_000),
                (run, "resume", b"\xff\xfe"),
                (None, "stop", "null"),
            )
        }
    worker = laboratory.worker()
    assert worker is not None

    asked = {
        add_command(laboratory.database, device="cpu", kind="dance"): "the worker itself can only be stopped",
        add_command(laboratory.database, device="cpu", kind="fly", run=run): "fly: is unknown",
        add_command(laboratory.database, device="cpu", kind="set", run=run): "set: nothing cannot be set",
        add_command(
            laboratory.database, device="cpu", kind="set", run=run, arguments={"lr": -1}
        ): "lr: -1: a learning rate is above 0",
    }
    with laboratory.reader() as reader:
        for command, reason in asked.items():
            answer = wait_for_command(reader, command, PATIENCE_S)
            assert answer.status == "rejected"
            assert answer.reason is not None
            assert reason in answer.reason
        for command in unreadable:
            answer = wait_for_command(reader, command, PATIENCE_S)
            assert (answer.status, answer.arguments) == ("rejected", {})
            assert answer.reason == "its arguments are no JSON object"
        assert {row.lr for row in reader.steps(run)} == {0.01}

    laboratory.ask(run, "stop")
    laboratory.wait_for_end(odd)
    with laboratory.reader() as reader:
        record = reader.run(odd)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert "lr" in record.error
    assert is_alive(worker.pid, worker.start)
