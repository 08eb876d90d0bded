"""Tests see nothing of what the person who runs them has set, and leave nothing behind."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.settings import PREFIX

# Before torch is imported, here and in every worker: on tensors of this size threads gain nothing, and where
# several processes share the cores they wait for one another and take ten times as long.
os.environ["OMP_NUM_THREADS"] = "1"


_LONG_FOLDERS = ("worker", "cli", "tui", "faults")
"""Whose files take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first, so that of several processes none is left alone with one at the end."""
    tests_in = Counter(item.path for item in items)

    def length(item: pytest.Item) -> tuple[int, int, Path]:
        folder = item.path.parent.name
        rank = _LONG_FOLDERS.index(folder) if folder in _LONG_FOLDERS else len(_LONG_FOLDERS)
        return rank, -tests_in[item.path], item.path

    items.sort(key=length)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
