"""Two workers at once; a command for a run that has just ended."""

import threading

from engine.control import queue_run, wait_for_command
from engine.spec import RunSpec
from engine.store.records import Status
from engine.store.writing import add_command
from tests.worker.conftest import PATIENCE_S

from .conftest import LightLaboratory, command_line

SHORT = RunSpec(device="cpu", steps=40, decode_every=40)


def test_of_workers_that_are_started_at_once_one_stays_and_every_run_is_made_once(
    light: LightLaboratory,
) -> None:
    workers = [light.start_worker() for _ in range(3)]
    worker = light.wait_for_worker()
    runs = [queue_run(light.database, SHORT, session="tests") for _ in range(2)]
    for run in runs:
        light.wait_for_end(run)
    left = [process for process in workers if process.pid != worker.pid]
    assert len(left) == 2
    assert [process.wait(timeout=PATIENCE_S) for process in left] == [0, 0]
    with light.reader() as reader:
        for run in runs:
            assert reader.run(run).status is Status.FINISHED
            assert [row.step for row in reader.steps(run)] == list(range(SHORT.steps + 1))
            assert [event.kind for event in reader.events(run)] == ["created", "started", "finished"]
        assert {event.who for run in runs for event in reader.events(run)[1:]} == {"worker"}


def test_a_command_for_a_run_that_has_just_ended_is_answered(light: LightLaboratory) -> None:
    light.start_worker()
    light.wait_for_worker()
    run = queue_run(light.database, SHORT, session="tests")
    commands: list[int] = []
    has_ended = threading.Event()

    def ask_on_and_on() -> None:
        """Some come before the end, some with it, some after it."""
        while not has_ended.is_set():
            commands.append(
                add_command(
                    light.database, device="cpu", kind="set", run=run, arguments={"lr": 0.01 + len(commands)}
                )
            )

    asking = threading.Thread(target=ask_on_and_on)
    asking.start()
    light.wait_for_end(run)
    has_ended.set()
    asking.join()
    late = add_command(light.database, device="cpu", kind="pause", run=run)
    with light.reader() as reader:
        answers = [wait_for_command(reader, command, PATIENCE_S) for command in (*commands, late)]
        assert {answer.status for answer in answers} <= {"applied", "rejected"}
        assert (answers[-1].status, answers[-1].reason) == ("rejected", "the run has ended (finished)")
        assert all("ended" in (answer.reason or "") for answer in answers if answer.status == "rejected")
        changes = [event for event in reader.events(run) if event.kind == "lr"]
        assert len(changes) == sum(answer.status == "applied" for answer in answers)
        assert [row.step for row in reader.steps(run)] == list(range(SHORT.steps + 1))
        assert reader.run(run).status is Status.FINISHED
    said = command_line(light.database, "pause", str(run))
    assert (said.returncode, said.stderr) == (2, f"sonar-explore: run {run}: has ended (finished)\n")
