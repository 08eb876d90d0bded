"""What is refused is neither queued nor written, and starts no worker."""

from pathlib import Path

import numpy as np
import pytest

import engine.control
from engine.control import default_device, queue_run, request, resolve_device
from engine.errors import UserError
from engine.spec import RunSpec, VectorInit
from engine.store.reading import Reader
from engine.store.records import Status
from engine.store.writing import new_run, transaction


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
        ("fly", {}, "command: 'fly' is unknown; there are pause, resume, stop, set"),
        ("set", {}, "set: nothing cannot be set; what can be is lr"),
        ("set", {"beam": 3}, "set: beam cannot be set; what can be is lr"),
        ("set", {"lr": -1}, "lr: -1: a learning rate is above 0"),
        ("set", {"lr": float("nan")}, "lr: nan"),
        ("set", {"lr": "fast"}, "lr: 'fast': should be a number"),
        ("resume", {}, "is queued already"),
    ],
)
def test_a_request_that_cannot_be_is_not_made(
    tmp_path: Path, started: list[tuple[Path, str]], kind: str, arguments: dict[str, object], line: str
) -> None:
    database = tmp_path / "sessions.db"
    run = queue_run(database, RunSpec(), session="a")
    with pytest.raises(UserError, match=line):
        request(database, run, kind, arguments)
    with Reader(database) as reader:
        assert reader.commands(run) == []


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
