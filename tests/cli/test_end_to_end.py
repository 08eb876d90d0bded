"""The command line against a real worker with the embedded models: one database, as few workers as can be."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from engine.store.reading import Reader
from engine.store.records import RunRecord, Status
from engine.store.schema import SCHEMA

from .conftest import TARGET, Call, run_program, with_a_worker

ENDLESS = ("--steps", "1000000", "--decode-every", "1000000", "--beam", "1", "--vectors", "ends")
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database in a folder of its own; its workers are stopped in the end."""
    path = tmp_path_factory.mktemp("end-to-end") / "sessions.db"
    yield path
    if path.exists():
        run_program("worker", "stop", "--db", path)


@pytest.fixture
def worker(database: Path) -> None:
    """Only the tests that do without it are about a worker that a program starts."""
    with_a_worker(database)


def wait_for(database: Path, run_id: int, reached: Callable[[RunRecord], bool]) -> RunRecord:
    """Poll a run until it is as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    with Reader(database) as reader:
        while not reached(run := reader.run(run_id)):
            assert time.monotonic() < deadline, run
            time.sleep(0.02)
    return run


def queue(call: Call, database: Path, *options: str) -> int:
    """Queue a run and leave it to the worker."""
    answer = call("run", *options, "--detach", "--db", database)
    assert answer.code == 0, answer.err
    return int(answer.out)


def goes_on(database: Path, run_id: int) -> bool:
    """Whether two more steps of a run are recorded."""
    with Reader(database) as reader:
        step = reader.run(run_id).last_step or 0
    return wait_for(database, run_id, lambda run: (run.last_step or 0) >= step + 2).status is Status.RUNNING


def test_without_arguments_and_terminal_the_published_experiment_runs(database: Path) -> None:
    shell = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m tui | cat; exit ${{PIPESTATUS[0]}}"],
        cwd=database.parent,
        env=os.environ | {"SONAR_EXPLORE_IDLE_MINUTES": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert shell.returncode == 0, shell.stderr
    lines = shell.stdout.splitlines()
    assert lines[:4] == [
        "### Decoder CE Loss (lr=0.01, steps=100)",
        "",
        "| Step | Loss | Sim | Decoded z | Decoded Prediction |",
        "|-----:|-----:|----:|-----------|-------------------|",
    ]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[4:]]
    assert [row[0] for row in rows] == [str(step) for step in range(0, 101, 10)]
    assert all(len(row) == 5 for row in rows)
    assert rows[0][4] != TARGET
    assert rows[-1][4] == TARGET
    assert float(rows[-1][1]) < float(rows[0][1])


@pytest.mark.usefixtures("worker")
def test_json_lines_keep_the_contract(database: Path) -> None:
    options = ("--weight", "ce=1", "--weight", "cosine=0.1", "--steps", "12", "--decode-every", "5")
    more = ("--norm", "free", "--lr", "0.005", "--seed", "3", "--session", "contract", "--name", "hybrid")
    answer = run_program("run", *options, *more, "--beam", "1", "--format", "jsonl", "--db", database)
    assert answer.returncode == 0, answer.stderr
    *steps, summary = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [step["step"] for step in steps] == list(range(13))
    for step in steps:
        assert list(step) == [
            "type",
            "run",
            "step",
            "loss",
            "ce",
            "cosine",
            "mse",
            "anchor",
            "fluency",
            "prior",
            "similarity",
            "lr",
            "grad_norm",
            "z_norm",
            "decoded_z",
            "decoded_prediction",
            "match",
            "elapsed_ms",
            "measures",
            "sentences",
            "reread_prediction",
        ]
        assert step["loss"] == pytest.approx(step["ce"] + 0.1 * step["cosine"], rel=1e-5)
        assert step["cosine"] == pytest.approx(-step["similarity"], rel=1e-5)
        assert step["mse"] is None
        assert step["grad_norm"] > 0
        assert step["z_norm"] > 0
        is_decoded = step["step"] in (0, 5, 10, 12)
        for field in ("decoded_z", "decoded_prediction", "match"):
            assert (step[field] is not None) == is_decoded
    assert [step["lr"] for step in steps] == [0.005] * 12 + [None]
    assert summary["type"] == "summary"
    assert (summary["status"], summary["session"], summary["steps"]) == ("finished", "contract", 12)
    assert summary["loss"] == steps[-1]["loss"]
    assert summary["decoded_prediction"] == steps[-1]["decoded_prediction"]
    shown = run_program("show", str(summary["run"]), "--format", "jsonl", "--db", database)
    assert shown.stdout == answer.stdout


@pytest.mark.usefixtures("worker")
def test_a_pipe_gets_plain_lines_and_stderr_the_rest(database: Path) -> None:
    answer = run_program("run", "--steps", "3", "--beam", "1", "--decode-every", "2", "--db", database)
    assert answer.returncode == 0, answer.stderr
    header, *rows = answer.stdout.splitlines()
    assert header.split()[:4] == ["step", "loss", "sim", "match"]
    assert [row.split()[0] for row in rows] == ["0", "2", "3"]
    assert re.search(r"^run \d+: queued in ", answer.stderr, re.M)
    assert re.search(r"^run \d+: finished, loss [\d.]+, similarity [\d.-]+, ", answer.stderr, re.M)
    assert "\x1b" not in answer.stdout + answer.stderr


@pytest.mark.usefixtures("worker")
def test_a_run_starts_from_a_stored_vector(call: Call, database: Path) -> None:
    first = queue(call, database, "--steps", "2", "--decode-every", "9", "--beam", "1")
    wait_for(database, first, lambda run: run.status is Status.FINISHED)
    second = queue(
        call, database, "--init-vector", f"{first}:2", "--steps", "1", "--decode-every", "9", "--beam", "1"
    )
    wait_for(database, second, lambda run: run.status is Status.FINISHED)
    with Reader(database) as reader:
        *_, last = reader.steps(first)
        start = reader.steps(second)[0]
    assert start.loss == pytest.approx(last.loss, rel=1e-4)


@pytest.mark.usefixtures("worker")
def test_commands_are_acknowledged_with_the_step(call: Call, database: Path) -> None:
    run_id = queue(call, database, *ENDLESS)
    wait_for(database, run_id, lambda run: (run.last_step or 0) >= 1)

    answer = call("set", str(run_id), "lr=0.005", "--db", database)
    changed = re.fullmatch(rf"run {run_id}: lr 0.01 → 0.005 from step (\d+)\n", answer.out)
    assert changed, answer
    assert goes_on(database, run_id)

    answer = call("pause", str(run_id), "--db", database)
    paused = re.fullmatch(rf"run {run_id}: paused at step (\d+)\n", answer.out)
    assert paused, answer
    assert wait_for(database, run_id, lambda run: True).status is Status.PAUSED
    assert wait_for(database, run_id, lambda run: True).last_step == int(paused[1]) - 1

    again = call("pause", str(run_id), "--db", database)
    assert (again.code, again.out) == (2, "")
    assert again.err == f"sonar-explore: run {run_id}: the run is paused already\n"

    answer = call("resume", str(run_id), "--db", database)
    assert answer.out == f"run {run_id}: resumed at step {paused[1]}\n"
    assert goes_on(database, run_id)

    asked = call("stop", str(run_id), "--no-wait", "--db", database)
    assert (asked.code, asked.out) == (0, f"run {run_id}: stop is asked for\n")
    stopped = wait_for(database, run_id, lambda run: run.status is Status.STOPPED)
    with Reader(database) as reader:
        rates = [step.lr for step in reader.all_steps(run_id)]
    assert stopped.last_step == len(rates) - 1
    assert rates == [0.01] * int(changed[1]) + [0.005] * (len(rates) - int(changed[1]))


@pytest.mark.usefixtures("worker")
def test_a_run_is_steered_from_the_shell(call: Call, database: Path) -> None:
    options = ("--steps", "30", "--decode-every", "99", "--beam", "1", "--loss", "cosine")
    run_id = queue(call, database, *options, "--break", "grad_norm>0", "--break", " loss > 9 ")
    paused_at(database, run_id, 0)
    assert call("break", str(run_id), "--db", database).out == "grad_norm>0\nloss>9\n"
    answer = call("break", str(run_id), "loss>9", "--remove", "--db", database)
    assert answer.out == f"run {run_id}: break-point removed: loss>9 at step 1\n"
    answer = call("break", str(run_id), "match", "--db", database)
    assert answer.out == f"run {run_id}: break-point set: match at step 1\n"

    answer = call("step", str(run_id), "--db", database)
    assert answer.out == f"run {run_id}: resumed for 1 step at step 1\n"
    paused_at(database, run_id, 1)
    assert (
        call("step", str(run_id), "3", "--db", database).out
        == f"run {run_id}: resumed for 3 steps at step 2\n"
    )
    paused_at(database, run_id, 4)
    answer = call("set", str(run_id), "lr=0.005", "weight.ce=1", "weight.cosine=0.1", "--db", database)
    assert answer.out == (
        f"run {run_id}: weight ce 0 → 1, cosine 1 → 0.1 from step 5\n"
        f"run {run_id}: lr 0.01 → 0.005 from step 5\n"
    )
    answer = call("extend", str(run_id), "10", "--db", database)
    assert answer.out == f"run {run_id}: extended 30 → 40 at step 5\n"
    answer = call("resume", str(run_id), "--until", "8", "--db", database)
    assert answer.out == f"run {run_id}: resumed until step 8 at step 5\n"
    paused_at(database, run_id, 8)

    facts, _, _ = call("show", str(run_id), "--db", database).out.partition("\n\n")
    lines = facts.splitlines()
    assert "loss       0.1 cosine + ce, lr 0.005, 40 steps" in lines
    assert "breaks     grad_norm>0, match" in lines
    happened = [line[20:].strip() for line in lines if line[:2] == "20"]
    assert [line for line in happened if line.startswith(("paused", "break-point met"))] == [
        next(line for line in happened if line.startswith("break-point met: grad_norm>0: ")),
        "paused after 1 step at step 2",
        "paused after 3 steps at step 5",
        "paused at step 8",
    ]
    with Reader(database) as reader:
        rows = reader.steps(run_id)
    assert [row.lr for row in rows] == [0.01] * 5 + [0.005] * 4
    assert [sorted(row.terms) for row in rows] == [["cosine"]] * 5 + [["ce", "cosine"]] * 4
    call("resume", str(run_id), "--db", database)
    ended = wait_for(database, run_id, lambda run: run.status.has_ended)
    assert (ended.status, ended.last_step) == (Status.FINISHED, 40)


def paused_at(database: Path, run_id: int, step: int) -> None:
    """Wait until a run has paused right after a step."""
    paused = wait_for(
        database, run_id, lambda run: run.status is Status.PAUSED and (run.last_step or 0) >= step
    )
    assert paused.last_step == step


@pytest.mark.usefixtures("worker")
def test_a_worker_that_is_asked_to_leave_ends_the_following(database: Path) -> None:
    follower = _follow(database)
    assert follower.stdout is not None
    assert "step" in follower.stdout.readline()
    assert run_program("worker", "stop", "--db", database).returncode == 0
    _, errors = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 1
    told = re.fullmatch(
        rf"run (\d+): paused at step (\d+); `sonar-explore --db {database} resume \1` goes on"
        " from its last checkpoint",
        errors.splitlines()[-1],
    )
    assert told, errors
    with Reader(database) as reader:
        run = reader.run(int(told[1]))
    assert (run.status, run.last_step) == (Status.PAUSED, int(told[2]))


@pytest.mark.usefixtures("worker")
def test_a_run_that_meets_a_break_point_is_waited_for_and_says_how_to_go_on(
    call: Call, database: Path
) -> None:
    brief = ("--steps", "9", "--decode-every", "9", "--beam", "1", "--max-decoded-tokens", "4")
    options = (*brief, "--break", "loss>0", "--format", "jsonl", "--db", str(database))
    follower = subprocess.Popen(
        [sys.executable, "-m", "tui", "run", *options],
        env=os.environ | {"SONAR_EXPLORE_IDLE_MINUTES": "2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stderr is not None
    told = ""
    while "goes on" not in told:
        told += (line := follower.stderr.readline())
        assert line, told
    match = re.search(r"^run (\d+): break-point met: loss>0: [\d.]+ at step 0$", told, re.M)
    assert match, told
    run_id, program = match[1], f"sonar-explore --db {database}"
    assert told.splitlines()[-2:] == [
        f"run {run_id}: paused",
        f"run {run_id}: `{program} resume {run_id}` goes on, `{program} stop {run_id}` ends it",
    ]
    assert call("resume", run_id, "--db", database).code == 0
    out, errors = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, errors
    *steps, summary = [json.loads(line) for line in out.splitlines()]
    assert [step["step"] for step in steps] == list(range(10))
    assert summary["status"] == "finished"


@pytest.mark.usefixtures("worker")
def test_ctrl_c_leaves_the_run_going_and_says_how_to_come_back(database: Path) -> None:
    follower = _follow(database)
    assert follower.stdout is not None
    assert "step" in follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 130
    run_id = int(re.findall(r"run (\d+) goes on: ", errors)[0])
    assert f"`sonar-explore --db {database} show {run_id}` prints it" in errors
    assert f"`sonar-explore --db {database} stop {run_id}` stops it" in errors
    assert "Traceback" not in errors
    assert goes_on(database, run_id)
    answer = run_program("stop", str(run_id), "--db", database)
    assert re.fullmatch(rf"run {run_id}: stopped at step \d+\n", answer.stdout)


@pytest.mark.usefixtures("worker")
def test_a_reader_that_leaves_ends_the_following_quietly(database: Path) -> None:
    shell = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m tui run --steps 9 --decode-every 9 --beam 1 --format jsonl --db {database}"
            " | head -n 1; exit ${PIPESTATUS[0]}",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (shell.returncode, len(shell.stdout.splitlines())) == (0, 1)
    assert "Traceback" not in shell.stderr
    assert "Broken" not in shell.stderr
    run_id = json.loads(shell.stdout)["run"]
    assert wait_for(database, run_id, lambda run: run.status.has_ended).status is Status.FINISHED


@pytest.mark.usefixtures("worker")
def test_a_terminal_gets_a_table_and_a_progress_line(database: Path) -> None:
    screen = pyte.Screen(100, 24)
    stream = pyte.Stream(screen)
    arguments = [
        "-m",
        "tui",
        "run",
        "--steps",
        "10",
        "--decode-every",
        "5",
        "--beam",
        "1",
        "--db",
        str(database),
    ]
    child = pexpect.spawn(
        sys.executable, arguments, dimensions=(24, 100), encoding="utf-8", timeout=PATIENCE_S
    )
    seen: list[str] = []
    while True:
        try:
            stream.feed(child.read_nonblocking(65536, PATIENCE_S))
        except pexpect.EOF:
            break
        seen.extend(screen.display)
    child.close()
    assert child.exitstatus == 0
    assert any(re.search(r"run \d+: running .* \d+/10 +loss \d", line) for line in seen)
    lines = [line.rstrip() for line in screen.display if line.strip()]
    header = next(index for index, line in enumerate(lines) if line.split()[:2] == ["step", "loss"])
    assert [line.split()[0] for line in lines[header + 1 : header + 4]] == ["0", "5", "10"]
    assert re.match(r"run \d+: finished, loss ", lines[header + 4])
    assert len(lines) == header + 5
    assert not screen.cursor.hidden


@pytest.mark.usefixtures("worker")
def test_a_killed_worker_is_told_and_its_run_resumes(database: Path) -> None:
    follower = _follow(database)
    assert follower.stdout is not None
    assert "step" in follower.stdout.readline()
    with Reader(database) as reader:
        (worker,) = [worker for worker in reader.workers() if worker.alive]
    os.kill(worker.pid, signal.SIGKILL)
    _, errors = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 1
    told = re.search(
        r"^run (\d+): crashed at step \d+.*`sonar-explore --db \S+ resume \1` goes on from its last",
        errors,
        re.M,
    )
    assert told, errors
    answer = run_program("resume", told[1], "--db", database)
    assert re.fullmatch(rf"run {told[1]}: resumed at step \d+\n", answer.stdout), answer.stderr
    assert goes_on(database, int(told[1]))
    assert run_program("stop", told[1], "--db", database).returncode == 0


def test_a_run_that_fails_says_why_and_ends_with_1(database: Path) -> None:
    beyond_all_bounds = ("--optimizer", "adamw", "--option", "adamw.weight_decay=10", "--lr", "1000")
    answer = run_program("run", *beyond_all_bounds, "--norm", "free", "--db", database)
    assert answer.returncode == 1
    rows = [line.split()[0] for line in answer.stdout.splitlines()]
    assert rows[:2] == ["step", "0"]
    last = answer.stderr.splitlines()[-1]
    assert re.match(
        r"run \d+: failed at step \d+: step \d+: the loss is nan and its gradient's norm nan", last
    )
    assert "Traceback" not in answer.stderr


def test_doctor_finds_everything_that_is_needed(database: Path) -> None:
    answer = run_program("doctor", "--db", database)
    assert answer.returncode == 0, answer.stdout
    lines = answer.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    subjects = [line[8:30].strip() for line in lines]
    for subject in ("python", "torch", "fairseq2", "sonar-space", "gpu", "bundle mini", "disk", "database"):
        assert subject in subjects
    assert any("weights are here" in line for line in lines if "bundle mini" in line)
    assert any(f"integrity ok, schema {SCHEMA}" in line for line in lines)


@pytest.mark.usefixtures("worker")
def test_workers_are_shown_and_leave_when_asked(call: Call, database: Path) -> None:
    run_id = queue(call, database, *ENDLESS)
    wait_for(database, run_id, lambda run: run.status is Status.RUNNING)
    status = call("worker", "status", "--db", database).out
    assert re.search(rf"^cpu: process \d+, running {run_id}, leaves after ", status, re.M)
    stopped = call("worker", "stop", "--db", database)
    assert stopped.code == 0
    assert re.search(r"^cpu: process \d+ has left$", stopped.out, re.M)
    assert call("worker", "status", "--db", database).out == "no worker is running\n"
    with Reader(database) as reader:
        assert reader.run(run_id).status is Status.PAUSED


def _follow(database: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tui", "run", *ENDLESS, "--db", str(database)],
        env=os.environ | {"SONAR_EXPLORE_IDLE_MINUTES": "2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
