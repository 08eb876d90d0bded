"""What verifying a run shows, as a user sees it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import TaskRecord
from engine.store.run_changes import Event
from engine.store.task_queue import TaskQueue
from engine.verdict import Difference, Verdict
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording
from tests.tui.screen import User, expect, expect_shown, text
from tui.actions import Place


@contextmanager
def taken_up(database: Path) -> Iterator[tuple[TaskQueue, TaskRecord]]:
    """This process in the part of the worker that is at the task."""
    recorder = Recorder(database, "cpu", report=print)
    queue = TaskQueue(recorder)
    task = queue.claim(os.getpid())
    assert task is not None
    yield queue, task
    recorder.close()


def tasks(database: Path) -> list[TaskRecord]:
    with Reader(database) as reader:
        return reader.tasks()


def verdict(first: Difference | None, *largest: Difference, other_ground: tuple[str, ...] = ()) -> Verdict:
    return Verdict(3, 0, 24, other_ground, first, 0 if first is None else 3, largest)


@behaviour(Place.EXPLORER, "verify")
@behaviour(Place.VERIFICATION, "close")
async def _a_verification_shows_how_far_it_is_and_what_came_of_it(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("V")
    await expect_shown(user, "today/3: verified against its record", "waits for the worker")
    with taken_up(recording.path) as (queue, task):
        assert (task.kind, task.run, task.arguments) == ("verify", 3, {})
        await expect_shown(user, "making it again: loading models")
        queue.progress(task.id, 12, 25)
        await expect_shown(user, "making it again: 12 of 25 rows")
        await user.press("escape")  # and it goes on
        await expect(user, lambda: "verified against" not in text(user))
        await user.press("V")  # joins it
        await expect_shown(user, "making it again: 12 of 25 rows")
        off = Difference(12, "loss", 0.5, 0.25, 0.25)
        found = verdict(off, off, other_ground=("torch: 2.9.1, recorded with 2.8",))
        queue.finish(task, found.to_result(), Event("verified", found.summary))
    await expect_shown(
        user,
        "differs from step 12: loss 0.5 → 0.25 (0.25 off); 3 of 25 rows",
        "made again on something else: torch: 2.9.1, recorded with 2.8",
        "largest difference of loss: 0.25 at step 12",
    )
    assert len(tasks(recording.path)) == 1
    await user.press("escape", "o")
    await expect_shown(user, "verified: differs from step 12: loss 0.5 → 0.25")
    await user.press("escape", "V")
    await expect_shown(user, "waits for the worker")  # a new one
    with taken_up(recording.path) as (queue, task):
        queue.finish(task, verdict(None).to_result())
    await expect_shown(user, "all equal, bit for bit: 25 rows (steps 0 to 24)")


@behaviour(Place.VERIFICATION, "cancel")
async def _a_verification_is_given_up(user: User, control: RecordingControl, recording: Recording) -> None:
    await user.press("V")
    await expect_shown(user, "waits for the worker")
    await user.press("c")
    await expect_shown(user, "cancelled")
    assert [task.status for task in tasks(recording.path)] == ["cancelled"]
    await user.press("c")  # there is nothing left to give up
    await user.press("escape", "V")
    await expect_shown(user, "waits for the worker")
    with taken_up(recording.path) as (queue, task):
        queue.fail(task.id, "bundle: [bold]mini\x1b[2J is gone")
    await expect_shown(user, "failed: bundle: [bold]mini", "is gone")
    control.refusal = "run 3: has no rows yet that could be verified"
    await user.press("escape", "V")
    await expect_shown(user, "run 3: has no rows yet that could be verified")
