"""A home of its own for caches and settings, and a server of weights."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles.file_server import FileServer, file_server
from tests.cli.conftest import call
from tui.paths import CONFIG_FILE, config_dir

__all__ = ["call"]


@pytest.fixture
def server() -> Iterator[FileServer]:
    """Serves what a test gives it."""
    with file_server() as running:
        yield running


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caches of fairseq2 and of Hugging Face are empty folders; no proxy, no hub."""
    monkeypatch.setenv("FAIRSEQ2_CACHE_DIR", str(tmp_path / "fairseq2"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return tmp_path


def configure(text: str) -> Path:
    """Write the user's config.toml."""
    path = config_dir() / CONFIG_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
