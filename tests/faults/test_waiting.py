"""What time cures, a worker waits for: a full disk, a database that another program holds locked."""

import re
import resource
import sqlite3
import subprocess
import sys

from engine.store.reading import Reader
from engine.store.records import Status
from tests.tui.screen import expect, expect_said, opened, text
from tests.worker.conftest import wait_until

from .conftest import LightLaboratory


async def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(light: LightLaboratory) -> None:
    run, worker = light.running()
    limits = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
    # No file of the worker may grow beyond what its log needs: to it the disk is full.
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (20_000, limits[1]))
    async with opened(light.database) as user:
        await expect_said(user, "worker cpu: cannot write for now: ", "trying again every 1 s")
        with Reader(light.database) as reader:
            stood_at = reader.run(run).last_step
            assert reader.run(run).status is Status.RUNNING
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, limits)
        await expect(user, lambda: "cannot write for now" not in text(user))
    with Reader(light.database) as reader:
        assert (reader.run(run).last_step or 0) >= (stood_at or 0)
    light.check_goes_on_without_a_gap(run, worker)


async def test_a_database_that_is_locked_for_ten_seconds(light: LightLaboratory) -> None:
    run, worker = light.running()
    holder = sqlite3.connect(light.database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    asking = subprocess.Popen(
        [sys.executable, "-m", "tui", "pause", str(run), "--db", str(light.database)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    async with opened(light.database) as user:
        await expect(user, lambda: re.search(r"step \d+ of 100", text(user)))  # reading goes on
        wait_until(lambda: "is locked; trying again every 1 s" in light.log, "the worker")
        await expect_said(user, "worker cpu: cannot write for now: ", "is locked")
        answer = asking.communicate(timeout=60)
        holder.execute("ROLLBACK")
        holder.close()
        await expect(user, lambda: "cannot write for now" not in text(user))
    assert asking.returncode == 2
    assert answer[1].endswith("cannot be written: database is locked by another program\n")
    assert len(answer[1].splitlines()) == 1
    light.check_goes_on_without_a_gap(run, worker)
