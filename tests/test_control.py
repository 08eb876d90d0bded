"""What is refused is neither queued nor written, and starts no worker."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

import engine.control
from engine.control import default_device, queue_run, queue_runs, request, resolve_device
from engine.errors import UserError
from engine.spec import RunSpec, VectorInit
from engine.store.reading import Reader
from engine.store.records import Status
from engine.store.tables import BreakPoint
from engine.store.writing import new_run, transaction

_TERMS = "ce, cosine, mse, anchor, fluency, prior"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """The workers that would have been started."""
    started: list[tuple[Path, str]] = []
    monkeypatch.setattr(engine.control, "ensure_worker", lambda path, device: started.append((path, device)))
    return started


@pytest.mark.parametrize(
    ("spec", "options", "line"),
    [
        (RunSpec(bundle="maxi"), {}, "bundle: 'maxi' is unknown; there are mini, sonar-llm-100m"),
        (RunSpec(target="word " * 200), {}, r"target: \d+ tokens; bundle mini takes at most 125"),
        (RunSpec.model_validate({"init": {"kind": "text", "text": "word " * 200}}), {}, r"init: \d+ tokens"),
        (RunSpec(), {"session": "  "}, "session: '': a name has 1 to 200 printable characters"),
        (RunSpec(), {"session": "a\x1b[2Jb"}, "session: "),
        (RunSpec(), {"name": "x" * 300}, "name: "),
        (RunSpec(), {"initial": np.array([np.nan, 1], np.float32)}, "init: a vector must be"),
        (RunSpec(), {"initial": np.zeros(4, np.float32)}, "init: a vector must be"),
    ],
)
def test_a_run_that_cannot_be_is_not_queued(
    tmp_path: Path,
    started: list[tuple[Path, str]],
    spec: RunSpec,
    options: dict[str, object],
    line: str,
) -> None:
    database = tmp_path / "sessions.db"
    with pytest.raises(UserError, match=line):
        queue_run(database, spec, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    assert started == []


def test_copies_are_queued_together(tmp_path: Path, started: list[tuple[Path, str]]) -> None:
    database = tmp_path / "sessions.db"
    specs = [RunSpec(seed=seed, device="cpu") for seed in range(3)]
    runs = queue_runs(database, specs, session="a", names=["x 1", None, "x 3"], break_points=["match"])
    with Reader(database) as reader:
        records = reader.runs()
        assert [record.id for record in records] == runs
        assert [(record.number, record.seed) for record in records] == [(1, 0), (2, 1), (3, 2)]
        assert [record.name for record in records] == ["x 1", None, "x 3"]
        assert [record.break_points for record in records] == [("match",)] * 3
        assert [event.kind for run in runs for event in reader.events(run)] == ["created"] * 3
    assert started == [(database, "cpu")]


def test_of_copies_all_are_queued_or_none(tmp_path: Path, started: list[tuple[Path, str]]) -> None:
    database = tmp_path / "sessions.db"
    good, bad = RunSpec(), RunSpec(bundle="maxi")
    with pytest.raises(UserError, match="bundle: 'maxi' is unknown"):
        queue_runs(database, [good, bad], names=[None, None])
    assert list(tmp_path.iterdir()) == []

    first = queue_run(database, good, session="a")
    started.clear()
    with sqlite3.connect(database) as connection:  # the third copy cannot be written
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON run WHEN new.seed = 2"
            " BEGIN SELECT raise(FAIL, 'the disk is full'); END"
        )
    connection.close()
    with pytest.raises(UserError, match="cannot be written: the disk is full"):
        queue_runs(database, [RunSpec(seed=seed) for seed in range(4)], session="b", names=[None] * 4)
    with Reader(database) as reader:
        assert [record.id for record in reader.runs()] == [first]
        assert [session.name for session in reader.sessions()] == ["a"]
    assert started == []


def test_a_vector_that_is_not_there_is_named(tmp_path: Path, started: list[tuple[Path, str]]) -> None:
    database = tmp_path / "sessions.db"
    run = queue_run(database, RunSpec(), session="a")
    with pytest.raises(UserError, match=rf"init: run {run} has no stored z for step 5"):
        queue_run(database, RunSpec(init=VectorInit(run=run, step=5)))
    with pytest.raises(UserError, match="there is no run 99"):
        queue_run(database, RunSpec(init=VectorInit(run=99, step=0)))
    with Reader(database) as reader:
        assert len(reader.runs()) == 1
    assert len(started) == 1


@pytest.mark.parametrize(
    ("kind", "arguments", "line"),
    [
        ("fly", {}, "command: 'fly' is unknown; there are pause, resume, stop, set, extend, break, unbreak"),
        ("set", {}, f"set: nothing cannot be set; what can be is lr and the weights of {_TERMS}"),
        ("set", {"beam": 3}, f"set: beam cannot be set; what can be is lr and the weights of {_TERMS}"),
        ("set", {"lr": 0.1, "beam": 3}, "set: beam cannot be set"),
        ("set", {"weights": {}}, "set: nothing cannot be set"),
        ("set", {"weights": 3}, "weights: 3: should be numbers by the names of terms"),
        ("set", {"weights": {"hinge": 1}}, "weights: no loss term 'hinge'; there are ce, cosine, mse"),
        ("set", {"weights": {"cosine": -1}}, "weights: cosine=-1; a weight is 0 or more"),
        ("set", {"weights": {"cosine": float("inf")}}, "weights.cosine: inf: should be a finite number"),
        ("set", {"weights": {"cosine": True}}, "weights.cosine: True: should be a number"),
        ("set", {"weights": {"ce": 0}}, "weights: .*at least one loss term needs a weight above 0"),
        (
            "set",
            {"lr": 0.1, "weights": {"ce": 0}},
            "weights: .*at least one loss term needs a weight above 0",
        ),
        ("set", {"lr": -1, "weights": {"cosine": 1}}, "lr: -1: a learning rate is above 0"),
        ("set", {"lr": 10**400}, "lr: 1000.*: should be a number"),
        ("set", {"lr": -1}, "lr: -1: a learning rate is above 0"),
        ("set", {"lr": float("nan")}, "lr: nan"),
        ("set", {"lr": "fast"}, "lr: 'fast': should be a number"),
        ("resume", {}, "is queued already"),
        ("resume", {"steps": 0}, "steps: 0: should be 1 or more"),
        ("resume", {"steps": 1.5}, "steps: 1.5: should be a whole number"),
        ("resume", {"until": -1}, "until: -1: should be 0 or more"),
        ("resume", {"until": 101}, "until: 101: the run ends with step 100"),
        ("resume", {"until": "soon"}, "until: 'soon': should be a whole number"),
        ("resume", {"until": 5, "steps": 5}, "resume: until, steps: what can be given is steps or until"),
        ("resume", {"lr": 5}, "resume: lr: what can be given is steps or until"),
        ("extend", {}, "extend: nothing: what is needed is steps"),
        ("extend", {"steps": 0}, "steps: 0: should be 1 or more"),
        ("extend", {"steps": True}, "steps: True: should be a whole number"),
        ("extend", {"steps": 10_000_000}, "steps: 10000100: should be less than or equal to 10000000"),
        ("break", {}, "break-point: nothing: what is needed is a condition"),
        ("break", {"when": 3}, "break-point: when: what is needed is a condition"),
        ("break", {"when": "never"}, "break-point: 'never': allowed are changed, match, not-finite"),
        ("break", {"when": "loss < 0.20"}, "break-point: loss<0.2: is set already"),
        ("unbreak", {"when": "match"}, "break-point: match: is not set; there is loss<0.2"),
    ],
)
def test_a_request_that_cannot_be_is_not_made(
    tmp_path: Path, started: list[tuple[Path, str]], kind: str, arguments: dict[str, object], line: str
) -> None:
    database = tmp_path / "sessions.db"
    run = queue_run(database, RunSpec(), session="a", break_points=["loss<0.2"])
    with pytest.raises(UserError, match=line):
        request(database, run, kind, arguments)
    with Reader(database) as reader:
        assert reader.commands(run) == []
        assert reader.run(run).break_points == ("loss<0.2",)


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        (Status.QUEUED, {"resume": "is queued already"}),
        (Status.RUNNING, {"resume": "is running already"}),
        (Status.PAUSED, {}),
        (
            Status.FINISHED,
            dict.fromkeys(("pause", "stop", "set", "break", "unbreak"), r"has ended \(finished\)")
            | {"resume": "has finished its 100 steps; extend it to go on"},
        ),
        *(
            (status, dict.fromkeys(("pause", "stop", "set"), rf"has ended \({status}\)"))
            for status in (Status.STOPPED, Status.FAILED, Status.CRASHED)
        ),
    ],
)
def test_what_a_run_takes_depends_on_its_status(
    tmp_path: Path, started: list[tuple[Path, str]], status: Status, refused: dict[str, str]
) -> None:
    database = tmp_path / "sessions.db"
    with transaction(database) as open_transaction:
        run_id = new_run(open_transaction, RunSpec(), device="cpu", session="a", status=status).id
        assert run_id is not None
        open_transaction.add(BreakPoint(run=run_id, condition="match", created=0.0, who="me"))
    asked: dict[str, dict[str, object]] = {
        "pause": {},
        "resume": {},
        "stop": {},
        "set": {"lr": 1},
        "extend": {"steps": 1},
        "break": {"when": "changed"},
        "unbreak": {"when": "match"},
    }
    for kind, arguments in asked.items():
        if kind in refused:
            with pytest.raises(UserError, match=f"^run {run_id}: {refused[kind]}$"):
                request(database, run_id, kind, arguments)
        else:
            request(database, run_id, kind, arguments)
    with Reader(database) as reader:
        assert {command.kind for command in reader.commands(run_id)} == set(asked) - set(refused)


def test_conditions_are_written_in_one_form(tmp_path: Path, started: list[tuple[Path, str]]) -> None:
    database = tmp_path / "sessions.db"
    given = [" loss < 0.20", "match", "loss<0.2"]
    run = queue_run(database, RunSpec(), session="a", break_points=given)
    request(database, run, "break", {"when": " ce  > 4.0 "})
    with Reader(database) as reader:
        assert reader.run(run).break_points == ("loss<0.2", "match")
        assert reader.commands(run)[0].arguments == {"when": "ce>4"}
    with pytest.raises(UserError, match=r"^break-point: 'soon': allowed are"):
        queue_run(database, RunSpec(), session="b", break_points=["match", "soon"])
    with Reader(database) as reader:
        assert len(reader.runs()) == 1


def test_a_published_run_can_only_be_looked_at(tmp_path: Path, started: list[tuple[Path, str]]) -> None:
    database = tmp_path / "sessions.db"
    with transaction(database) as open_transaction:
        run = new_run(
            open_transaction,
            RunSpec(),
            device="cpu",
            session="a",
            status=Status.FINISHED,
            origin="published",
        )
        run_id = run.id
    assert run_id is not None
    with pytest.raises(UserError, match="it can only be looked at"):
        request(database, run_id, "resume")


def test_devices_are_named_without_asking_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cuda") == "cuda:0"
    assert resolve_device("cuda:3") == "cuda:3"
    assert resolve_device("cpu") == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert default_device() == resolve_device("auto") == "cpu"
