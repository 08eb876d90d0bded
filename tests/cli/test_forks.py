"""`fork`, and `run` from a vector in a file."""

import json
import shlex
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from engine.command_line import command_line
from engine.spec import RunSpec, parse_spec
from engine.store.reading import Reader
from tests.cli.conftest import Call

QUICK = ("--decode-every", "9", "--beam", "1", "--max-decoded-tokens", "4", "--device", "cpu")


@pytest.mark.usefixtures("forked_workers")
def test_a_run_is_forked_with_its_state_and_from_z_alone_and_from_a_file(call: Call, tmp_path: Path) -> None:
    database = tmp_path / "sessions.db"
    options = ("--db", database, "--format", "jsonl")
    parent = call("run", *QUICK, "--steps", "3", "--lr", "0.02", "--session", "dragons", *options)
    assert parent.code == 0, parent.err
    with_state = call("fork", "1", "--step", "3", "--steps", "5", "--name", "heir", *options)
    assert with_state.code == 0, with_state.err
    assert f"run 2: queued in {database}; from run 1 step 3, with the optimiser's state" in with_state.err
    from_z = call("fork", "1", "--step", "1", "--steps", "1", "--lr", "0.5", *options)
    assert from_z.code == 0, from_z.err
    assert "from run 1 step 1, z only: no checkpoint there; that of step 3 is kept" in from_z.err
    with Reader(database) as reader:
        z = reader.vector(1, 2, "z")
    assert z is not None
    np.save(tmp_path / "z.npy", z[np.newaxis])
    from_file = call("run", "--init-vector", tmp_path / "z.npy", *QUICK, "--steps", "1", *options)
    assert from_file.code == 0, from_file.err

    rows = [
        [row for row in map(json.loads, answer.out.splitlines()) if row["type"] == "step"]
        for answer in (parent, with_state, from_z, from_file)
    ]
    of_parent, of_state, of_z, of_file = rows
    assert [row["step"] for row in of_state] == [3, 4, 5]
    assert of_state[0]["loss"] == of_parent[3]["loss"], "the same z, bit for bit"
    assert [row["lr"] for row in of_state] == [0.02, 0.02, None]
    assert [(row["step"], row["lr"]) for row in of_z] == [(0, 0.5), (1, None)]
    assert of_z[0]["loss"] == pytest.approx(of_parent[1]["loss"], rel=1e-5)
    assert of_file[0]["loss"] == pytest.approx(of_parent[2]["loss"], rel=1e-5)
    with Reader(database) as reader:
        runs = {run.id: run for run in reader.runs()}
    assert [(run.parent_run, run.parent_step) for run in runs.values()] == [
        (None, None),
        (1, 3),
        (1, 1),
        (None, None),
    ]
    assert [runs[run].session for run in (1, 2, 3)] == ["dragons"] * 3
    assert runs[2].name == "heir"
    assert runs[4].init == f"vector of {tmp_path / 'z.npy'}"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("fork", "x", "--step", "1"), "run: 'x': should be the number of a run"),
        (("fork", "99", "--step", "1"), "run: there is no run 99 in"),
        (("fork", "1", "--step", "-1"), "step: '-1': should be the number of a row, from 0 on"),
        (
            ("fork", "1", "--step", "7"),
            "step: 7: run 1 has no z stored for it; kept are those of steps 0 to 4",
        ),
        (("fork", "2", "--step", "0"), "step: 0: run 2 has no z stored for it; none are kept"),
        (("fork", "1", "--step", "2", "--lr", "0"), "lr: 0: should be greater than 0"),
        (("fork", "1", "--step", "2"), "init: 3 numbers; bundle mini takes 384"),
        (("run", "--init-vector", "gone.npy"), "init.file: gone.npy: there is no such file"),
        (("run", "--init-vector", "7:"), "init.step: '': should be a valid integer"),
    ],
)
def test_what_cannot_be_is_one_line_and_queues_nothing(
    call: Call, database: Path, arguments: tuple[str, ...], line: str
) -> None:
    before = database.read_bytes()
    answer = call(*arguments, "--db", database)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert line in answer.err
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (np.zeros((2, 384), np.float32), "holds 2 × 384; should be one vector, D or 1 × D numbers"),
        (np.ones(5, np.float32), "init: 5 numbers; bundle mini takes 384"),
        (np.full(384, np.nan, np.float32), "init: a vector must be one row of finite numbers"),
        (np.array([None]), "is no array of numbers in NumPy's format"),
    ],
)
def test_a_file_that_no_run_can_start_from_queues_nothing(
    call: Call, tmp_path: Path, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", line: str
) -> None:
    file = tmp_path / "z.npy"
    np.save(file, array, allow_pickle=True)
    answer = call("run", "--init-vector", file, "--db", tmp_path / "sessions.db")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert line in answer.err
    assert not (tmp_path / "sessions.db").exists()


_REST: Mapping[str, object] = {
    "init": {"kind": "vector", "run": 1, "step": 2},
    "target": "A dog.",
    "weights": {"cosine": 0.5},
    "lr": 0.3,
    "steps": 7,
    "norm": "free",
}
_OBJECTIVES: Mapping[str, object] = {
    "continuation": ["A cat."],
    "before": ["A bird."],
    "context": ["A fish."],
    "schedules": {"lr": "warmup:5"},
    "options": {"noise.copies": 8},
    "clip": 1.0,
    "max_decoded_tokens": 9,
    "source_lang": "eng_Latn",
    "optimizer": "sgd",
}


@pytest.mark.parametrize(
    ("parent", "spec"),
    [
        ({}, parse_spec(**_REST)),
        ({}, parse_spec(**_REST, **_OBJECTIVES)),
        (_OBJECTIVES, parse_spec(**_REST)),
    ],
    ids=["plain", "with objectives", "without its parent's"],
)
def test_the_command_line_of_a_fork_makes_it_again(
    call: Call, database: Path, monkeypatch: pytest.MonkeyPatch, parent: dict[str, object], spec: RunSpec
) -> None:
    """Every option is in it: what is left out would be the parent's."""
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE run SET spec = ? WHERE id = 1", (parse_spec(steps=4, **parent).model_dump_json(),)
        )
    asked: list[tuple[int, int, list[RunSpec]]] = []

    def queue(path: Path, run: int, step: int, specs: list[RunSpec], **_: object) -> list[int]:
        asked.append((run, step, specs))
        return [4]

    monkeypatch.setattr("engine.control.queue_forks", queue)
    program, *arguments = shlex.split(command_line(spec, fork_of=(1, 2)))
    assert program == "sonar-explore"
    answer = call(*arguments, "--detach", "--db", database)
    assert answer.code == 0, answer.err
    assert answer.out == "4\n"
    assert asked == [(1, 2, [spec])]
