"""The database is deleted or replaced under a worker that is at work on it."""

import sqlite3
from pathlib import Path

from engine.process import is_alive
from engine.store.reading import Reader
from engine.store.records import Status, StepRecord
from engine.store.schema import prepare
from tests.tui.screen import expect, expect_said, expect_shown, opened, text
from tests.worker.conftest import wait_until

from .conftest import LightLaboratory


def rescued_run(path: Path, run: int) -> list[StepRecord]:
    """The rows of a run that is paused in a rescued database, which is sound."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Reader(path) as reader:
        record = reader.run(run)
        assert record.status is Status.PAUSED
        assert reader.events(run)[-1].detail == "the database was deleted or replaced"
        return reader.steps(run, limit=100_000)


async def test_a_deleted_database_is_rescued_said_and_can_be_put_back(light: LightLaboratory) -> None:
    database = light.database
    run, worker = light.running()
    async with opened(database) as user:
        await expect_shown(user, "tests")
        with light.reader() as reader:
            acknowledged = reader.steps(run)
        for file in (database, *database.parent.glob("sessions.db-*")):
            file.unlink()
        await expect_said(user, "has been deleted; what the worker had recorded is in sessions.db.rescued")
        wait_until(lambda: not is_alive(worker.pid, worker.start), "the worker to leave")
        rescued = database.with_name("sessions.db.rescued")
        assert f"leaving: everything that was recorded is in {rescued}" in light.log
        rows = rescued_run(rescued, run)
        assert rows[: len(acknowledged)] == acknowledged

        rescued.rename(database)  # as the line says
        await expect(user, lambda: "has been deleted" not in text(user))
    light.start_worker()
    light.wait_for_worker()
    assert light.ask(run, "resume").applied_step == len(rows)
    light.wait_for_step(run, len(rows) + 1)


async def test_a_replaced_database_takes_nothing_from_the_one_before(
    light: LightLaboratory, tmp_path: Path
) -> None:
    database = light.database
    other = tmp_path / "other.db"
    prepare(other)
    connection = sqlite3.connect(other)
    connection.execute("INSERT INTO session (name, created, notes) VALUES ('of the other', 0, '')")
    connection.commit()
    connection.close()
    run, worker = light.running()
    async with opened(database) as user:
        await expect_shown(user, "step ")
        with light.reader() as reader:
            acknowledged = reader.steps(run)
        other.replace(database)  # with the write-ahead log of the first one still beside it
        wait_until(lambda: not is_alive(worker.pid, worker.start), "the worker to leave")
        await expect_said(
            user, "No runs yet", "was replaced; what the worker had recorded is in sessions.db.rescued"
        )
    rows = rescued_run(database.with_name("sessions.db.rescued"), run)
    assert rows[: len(acknowledged)] == acknowledged
    assert light.integrity() == "ok"
    with light.reader() as reader:
        assert [session.name for session in reader.sessions()] == ["of the other"]
        assert reader.runs() == []
    new, _ = light.running()
    assert new == 1
