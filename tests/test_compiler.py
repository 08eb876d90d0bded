"""Where nothing can compile it is said, in one line, before anything is queued or loaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.compiler import check_compiler
from engine.control import queue_run
from engine.errors import UserError
from engine.models.loading import load_bundle
from engine.spec import RunSpec
from engine.work.verification import spec_to_verify
from tui.doctor import examine


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found; it is empty."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("engine.compiler.get_path", lambda name: {"include": str(tmp_path)}[name])
    return folder


def _install(folder: Path, name: str) -> None:
    (folder / name).symlink_to(shutil.which("true", path="/usr/bin:/bin") or sys.executable)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("device", "what"), [("cpu", "a C++ compiler, and there is no g++"), ("cuda:0", "no gcc or clang")]
)
def test_it_says_which_compiler_is_missing(
    device: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.compiler.find_spec", lambda name: name)
    monkeypatch.setattr("engine.control.default_device", lambda: "cuda:0")
    database = tmp_path / "runs.db"
    with pytest.raises(UserError, match=r"^compile: needs ") as raised:
        queue_run(database, RunSpec(device=device, compile=True))
    assert what in str(raised.value)
    assert not database.exists()


@pytest.mark.usefixtures("programs")
def test_models_are_not_loaded_in_vain() -> None:
    progress: list[str] = []
    with pytest.raises(UserError, match=r"^compile: needs a C\+\+ compiler"):
        load_bundle("mini", device="cpu", compiled=True, progress=progress.append)
    assert progress == []


@pytest.mark.parametrize(("device", "name"), [("cpu", "g++"), ("cuda:1", "gcc"), ("cuda:1", "clang")])
def test_any_that_torch_would_take_will_do(
    device: str, name: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.compiler.find_spec", lambda name: name)
    _install(programs, name)
    check_compiler(device)


def test_one_that_is_named_counts_alone(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(programs, "g++")
    monkeypatch.setenv("CXX", "g++-99 -O2")
    with pytest.raises(UserError, match="there is no g\\+\\+-99, as CXX says: "):
        check_compiler("cpu")
    _install(programs, "g++-99")
    check_compiler("cpu")


def test_a_card_needs_triton(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(programs, "gcc")
    monkeypatch.setattr("engine.compiler.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^compile: needs Triton"):
        check_compiler("cuda:0")


def test_a_card_needs_pythons_headers(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(programs, "gcc")
    monkeypatch.setattr("engine.compiler.find_spec", lambda name: name)
    (tmp_path / "Python.h").unlink()
    with pytest.raises(UserError, match=r"^compile: needs Python's headers, and there is no .*/Python\.h: "):
        check_compiler("cuda:0")


@pytest.mark.usefixtures("programs")
def test_doctor_says_what_kernels_of_a_card_would_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = json.dumps({"problems": {}, "gpus": ["NVIDIA H200"]})
    probe = subprocess.CompletedProcess([], 0, stdout=found, stderr="")
    monkeypatch.setattr("tui.doctor.subprocess.run", lambda *arguments, **options: probe)
    monkeypatch.setattr("engine.compiler.find_spec", lambda name: name)
    findings = {finding.subject: finding for finding in examine(tmp_path / "runs.db")}
    assert findings["gpu"].detail == "NVIDIA H200"
    assert findings["kernels"].is_well
    assert findings["kernels"].detail == (
        "cannot be made, so steps are slower: Triton needs a C compiler, and there is no gcc or clang"
    )


def test_where_nothing_compiles_a_compiled_run_is_verified_as_it_can_be(programs: Path) -> None:
    compiled = RunSpec(compile=True)
    assert spec_to_verify(compiled, "cpu") == RunSpec()
    _install(programs, "g++")
    assert spec_to_verify(compiled, "cpu") == compiled


def test_compiled_models_are_the_same_ones(programs: Path) -> None:
    _install(programs, "g++")
    plain = load_bundle("mini", device="cpu")
    compiled = load_bundle("mini", device="cpu", compiled=True)
    assert compiled.is_compiled
    assert compiled is load_bundle("mini", device="cpu", compiled=True)
    assert compiled.digest == plain.digest
    assert compiled.generator is plain.generator
    assert compiled.decoder is plain.decoder
    assert load_bundle("mini", device="cpu") is plain
    assert not plain.is_compiled
