"""The screen on a real database, with a control that records what it is asked."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from engine.control import cancel_task, queue_forks, request_task
from engine.errors import UserError
from engine.spec import RunSpec
from engine.store.schema import prepare
from engine.store.writing import add_command, add_run
from tests.tui.recording import Recording


@dataclass
class RecordingControl:
    """Takes the place of engine.control: writes what is asked for, and starts no worker."""

    refusal: str | None = None
    """When set, everything is refused with this line."""

    queued: list[tuple[RunSpec, str | None, str | None]] = field(default_factory=list)
    break_points: list[tuple[str, ...]] = field(default_factory=list)
    """Those of each queued run."""

    forked: list[tuple[int, int, RunSpec, str | None, str | None]] = field(default_factory=list)
    """Parent, step, spec, session and name of each queued fork."""

    requested: list[tuple[int, str, Mapping[str, Any]]] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)
    stopped_workers: list[str] = field(default_factory=list)

    def queue_run(
        self,
        database: Path,
        spec: RunSpec,
        *,
        session: str | None = None,
        name: str | None = None,
        break_points: Sequence[str] = (),
    ) -> int:
        self._refuse()
        self.queued.append((spec, session, name))
        self.break_points.append(tuple(break_points))
        return add_run(database, spec, device="cpu", session=session or "today", name=name)

    def queue_runs(
        self,
        database: Path,
        specs: Sequence[RunSpec],
        *,
        session: str | None = None,
        names: Sequence[str | None],
        break_points: Sequence[str] = (),
    ) -> list[int]:
        return [
            self.queue_run(database, spec, session=session, name=name, break_points=break_points)
            for spec, name in zip(specs, names, strict=True)
        ]

    def queue_forks(
        self,
        database: Path,
        run_id: int,
        step: int,
        specs: Sequence[RunSpec],
        *,
        session: str | None = None,
        names: Sequence[str | None],
        break_points: Sequence[str] = (),
    ) -> list[int]:
        self._refuse()
        self.forked += [(run_id, step, spec, session, name) for spec, name in zip(specs, names, strict=True)]
        with patch("engine.control.ensure_worker"):
            return queue_forks(
                database, run_id, step, specs, session=session, names=names, break_points=break_points
            )

    def request(
        self, database: Path, run_id: int, kind: str, arguments: Mapping[str, Any] | None = None
    ) -> int:
        self._refuse()
        self.requested.append((run_id, kind, arguments or {}))
        return add_command(database, device="cpu", kind=kind, run=run_id, arguments=arguments)

    def request_task(
        self,
        database: Path,
        kind: str,
        *,
        run: int | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> int:
        self._refuse()
        with patch("engine.control.ensure_worker"):
            return request_task(database, kind, run=run, arguments=arguments)

    def cancel_task(self, database: Path, task_id: int) -> None:
        self._refuse()
        cancel_task(database, task_id)

    def ensure_worker(self, database: Path, device: str) -> None:
        self.workers.append(device)

    def request_worker_stop(self, database: Path, device: str) -> int | None:
        self._refuse()
        self.stopped_workers.append(device)
        return add_command(database, device=device, kind="stop")

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise UserError(self.refusal)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without runs; made once, because migrations are slow."""
    path = tmp_path_factory.mktemp("empty") / "sessions.db"
    prepare(path)
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "sessions.db"))


@pytest.fixture
def recording(database: Path) -> Iterator[Recording]:
    recording = Recording(database)
    yield recording
    recording.close()


@pytest.fixture
def control() -> RecordingControl:
    return RecordingControl()
