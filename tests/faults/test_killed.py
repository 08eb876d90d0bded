"""`kill -9` of the viewer, of the viewer and the worker, and of somebody who is writing."""

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.process import is_alive
from engine.store.reading import Reader
from engine.store.records import Status
from tests.tui.test_terminal import Terminal
from tests.worker.conftest import wait_until

from .conftest import LightLaboratory

QUEUE = """
import pathlib, sys
from engine.spec import RunSpec
from engine.store.writing import add_run
while True:
    run = add_run(pathlib.Path(sys.argv[1]), RunSpec(), device="nowhere", session="many")
    print(run, flush=True)
"""

KILLS = 3


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.process.close(force=True)


def kill(terminal: Terminal) -> None:
    terminal.process.kill(signal.SIGKILL)
    while terminal.read():
        pass
    terminal.process.close()
    assert terminal.process.signalstatus == signal.SIGKILL


def test_of_the_viewer_and_then_of_both(light: LightLaboratory, terminals: list[Terminal]) -> None:
    database = light.database
    run, worker = light.running()

    # the viewer alone: the run goes on, and another viewer shows it
    terminals.append(Terminal(database))
    terminals[0].expect(lambda: re.search(r"step \d+ of 100", terminals[0].text))
    kill(terminals[0])
    with light.reader() as reader:
        last = reader.run(run).last_step or 0
    light.wait_for_step(run, last + 3)
    assert is_alive(worker.pid, worker.start)
    assert light.integrity() == "ok"
    terminals.append(Terminal(database))
    terminals[1].expect(lambda: re.search(r"step \d+ of 100", terminals[1].text))

    # both at once: what was acknowledged is there, the next viewer tells, and a key lets the run go on
    with light.reader() as reader:
        acknowledged = reader.steps(run)
    os.kill(worker.pid, signal.SIGKILL)
    kill(terminals[1])
    wait_until(lambda: not is_alive(worker.pid, worker.start), "the end of the worker")
    with light.reader() as reader:
        assert reader.steps(run)[: len(acknowledged)] == acknowledged
        last = reader.run(run).last_step or 0
    assert light.integrity() == "ok"
    terminals.append(Terminal(database))
    terminals[2].expect(lambda: "crashed" in terminals[2].text and "is gone" in terminals[2].text)
    light.start_worker()
    light.wait_for_worker()
    terminals[2].process.send("r")
    light.wait_for_step(run, last + 2)
    with light.reader() as reader:
        assert reader.run(run).status is Status.RUNNING
        steps = [row.step for row in reader.steps(run, limit=100_000)]
    assert steps == list(range(len(steps)))
    terminals[2].process.send("q")
    assert terminals[2].exit_status() == 0


def test_of_somebody_who_is_writing(light: LightLaboratory) -> None:
    """Every run whose number was told is there; none is there by half."""
    database = light.database
    told: list[int] = []
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", QUEUE, str(database)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told += [int(process.stdout.readline()) for _ in range(random.randrange(1, 12))]
        process.kill()
        told += [int(line) for line in process.stdout.read().splitlines() if line]
        process.wait()
    with Reader(database) as reader:
        runs = {run.id: run for run in reader.runs()}
        assert set(told) <= runs.keys()
        assert [run.number for run in runs.values()] == list(range(1, len(runs) + 1))
        assert all([event.kind for event in reader.events(run)] == ["created"] for run in runs)
