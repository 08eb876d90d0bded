"""The clock is set back by hours while things are going on."""

import time

import pytest

from engine.control import queue_run
from engine.process import is_gone
from engine.store.records import Status
from tests.tui.screen import expect_said, opened
from tests.worker.conftest import wait_until

from .conftest import LONG, LightLaboratory

SET_BACK = """
import time
_now = time.time
time.time = lambda: _now() - 7200
"""


async def test_a_worker_after_the_clock_was_set_back(light: LightLaboratory) -> None:
    """The run begins before, its worker is killed, and the next one lives two hours earlier."""
    run, first = light.running()
    light.kill_worker()
    with light.reader() as reader:
        assert reader.run(run).status is Status.CRASHED
        acknowledged = reader.steps(run, limit=100_000)
    light.start_worker(SET_BACK)
    second = light.wait_for_worker()
    assert second.pid != first.pid
    assert light.ask(run, "resume").status == "applied"
    light.wait_for_step(run, acknowledged[-1].step + 3)
    light.ask(run, "stop")
    later = queue_run(light.database, LONG, session="tests")
    light.wait_for_step(later, 3)
    with light.reader() as reader:
        record = reader.run(run)
        kinds = [event.kind for event in reader.events(run)]
        assert kinds == ["created", "started", "crashed", "resumed", "started", "stopped"]
        assert [event.id for event in reader.events(run)] == sorted(e.id for e in reader.events(run))
        assert reader.steps(run, limit=100_000)[: len(acknowledged)] == acknowledged
        assert record.ended is not None
        assert record.started is not None
        assert record.ended < record.started  # what the screen makes of it is looked at below
        assert [each.id for each in reader.runs()] == [run, later]
    async with opened(light.database) as user:
        await expect_said(user, "stopped", "running")
        user.app.query_one("#runs").focus()
        assert "-1" not in "\n".join(line.text for line in user.app.screen._compositor.render_strips())
    light.check_goes_on_without_a_gap(later, second)


@pytest.mark.parametrize("away_s", [-3600.0, 3600.0])
def test_a_heartbeat_that_is_far_from_now_is_of_nobody(away_s: float) -> None:
    assert is_gone(1, "another-boot/1", time.time() + away_s)
    assert not is_gone(1, "another-boot/1", time.time() + away_s / 3600)


def test_a_run_from_before_a_restart_with_the_clock_set_back_is_found_dead(light: LightLaboratory) -> None:
    """Its last heartbeat lies in the future: it would never grow old."""
    import sqlite3

    run, _ = light.running()
    light.kill_worker()
    with sqlite3.connect(light.database) as connection:
        connection.execute(
            "UPDATE run SET worker_start = 'earlier/1', heartbeat = ? WHERE id = ?", (time.time() + 7200, run)
        )
    connection.close()
    with light.reader() as reader:
        assert reader.run(run).status is Status.CRASHED
    light.start_worker()
    wait_until(lambda: f"run {run}: its worker is gone; marked as crashed" in light.log, "the worker")
    assert light.ask(run, "resume").status == "applied"
