"""The digest of weights that is remembered: used while the files stay what they are, and never longer."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from engine.mini import ENCODER_FILE, WEIGHTS
from engine.models import digest, loading, remembered_digest
from engine.models.loading import load_bundle
from engine.models.remembered_digest import FILE, MOST
from engine.models.sonar import load_part
from engine.models.weights import Weights
from engine.user_directories import cache_dir
from tests.bundles.test_checkpoints import described
from tests.bundles.test_fetch import MINI_DIGEST
from tests.cli.conftest import run_program

OTHER = "f" * 64


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """The embedded encoder in a file of its own, of which nothing is known yet; it was just written."""
    path = tmp_path / "encoder.safetensors"
    shutil.copy(WEIGHTS / ENCODER_FILE, path)
    described(encoder=str(path))
    return path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has just been written may be remembered."""
    monkeypatch.setattr(remembered_digest, "SETTLED_S", -1.0)


def loaded_digest(*, wrong_digest: Callable[[str], None] | None = None) -> str:
    """Of the bundle `own`, as another process finds it."""
    loading._loaded.clear()
    digest._known.clear()
    return load_bundle("own", device="cpu", wrong_digest=wrong_digest).digest


def remembered() -> dict[str, str]:
    path = cache_dir() / FILE
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return known


def pretend(value: str) -> None:
    """Have another digest remembered, which shows whether it is asked."""
    (cache_dir() / FILE).write_text(json.dumps(dict.fromkeys(remembered(), value)), encoding="utf-8")


@pytest.mark.usefixtures("encoder", "at_once")
def test_weights_that_did_not_change_are_not_hashed_again() -> None:
    assert loaded_digest() == MINI_DIGEST
    assert list(remembered().values()) == [MINI_DIGEST]
    pretend(OTHER)
    assert loaded_digest() == OTHER


@pytest.mark.usefixtures("at_once")
def test_other_weights_in_a_file_of_the_same_name_size_and_time_are_hashed(encoder: Path) -> None:
    tensors = load_file(encoder)
    save_file(tensors, encoder)
    loaded_digest()
    before = encoder.stat()
    tensors["layer_norm.bias"] = tensors["layer_norm.bias"] + 1
    save_file(tensors, encoder)
    os.utime(encoder, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = encoder.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    changed = loaded_digest()
    assert changed != MINI_DIGEST
    assert sorted(remembered().values()) == sorted([MINI_DIGEST, changed])


def test_a_file_that_was_written_a_moment_ago_is_not_remembered(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded_digest() == MINI_DIGEST
    assert remembered() == {}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3)
    assert loaded_digest() == MINI_DIGEST
    assert list(remembered().values()) == [MINI_DIGEST]
    os.utime(encoder, (now + 60, now + 60))  # by a clock that is ahead
    pretend(OTHER)
    assert loaded_digest() == MINI_DIGEST


@pytest.mark.usefixtures("at_once")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(model: nn.Module, weights: Weights, *, device: torch.device, dtype: torch.dtype) -> None:
        load_part(model, weights, device=device, dtype=dtype)
        encoder.touch()

    monkeypatch.setattr(loading, "load_part", slowly)
    loading._encoders_and_decoders.clear()
    assert loaded_digest() == MINI_DIGEST
    assert remembered() == {}


@pytest.mark.usefixtures("encoder", "at_once")
@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\0", '{"KEY": "short"}', '{"KEY": null}'])
def test_a_file_that_makes_no_sense_is_replaced(content: str) -> None:
    loaded_digest()
    (key,) = remembered()
    (cache_dir() / FILE).write_text(content.replace("KEY", key), encoding="utf-8")
    assert loaded_digest() == MINI_DIGEST
    assert remembered() == {key: MINI_DIGEST}


@pytest.mark.usefixtures("encoder", "at_once")
def test_a_cache_that_cannot_be_written_is_none() -> None:
    cache_dir().parent.mkdir(parents=True)
    cache_dir().write_text("in the way")
    assert loaded_digest() == MINI_DIGEST


@pytest.mark.usefixtures("encoder", "at_once")
def test_only_the_newest_are_kept() -> None:
    cache_dir().mkdir(parents=True)
    many = {f"{number:064x}": OTHER for number in range(MOST)}
    (cache_dir() / FILE).write_text(json.dumps(many), encoding="utf-8")
    loaded_digest()
    kept = remembered()
    assert len(kept) == MOST
    assert list(kept)[:-1] == list(many)[1:]
    assert list(kept.values())[-1] == MINI_DIGEST


@pytest.mark.usefixtures("encoder", "at_once")
def test_what_is_remembered_of_other_names_of_weights_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded_digest()
    pretend(OTHER)
    monkeypatch.setattr(remembered_digest, "VERSION", digest.VERSION + 1)
    assert loaded_digest() == MINI_DIGEST


@pytest.mark.usefixtures("encoder", "at_once")
def test_what_was_remembered_wrongly_is_said_and_replaced() -> None:
    wrong: list[str] = []
    assert loaded_digest(wrong_digest=wrong.append) == MINI_DIGEST
    assert wrong == []
    pretend(OTHER)
    assert loaded_digest() == OTHER
    assert loaded_digest(wrong_digest=wrong.append) == MINI_DIGEST
    assert wrong == [OTHER]
    assert loaded_digest() == MINI_DIGEST


def test_bundles_check_computes_it_anew_and_says_so() -> None:
    loading._loaded.clear()
    load_bundle("mini", device="cpu")
    pretend(OTHER)
    answer = run_program("bundles", "check", "mini", environment={"OMP_NUM_THREADS": "1"})
    lines = answer.stdout.splitlines()
    place = lines.index(f"  digest     {MINI_DIGEST}")
    assert lines[place + 1] == f"             {OTHER} was remembered: WRONG, and forgotten"
    assert list(remembered().values()) == [MINI_DIGEST]
