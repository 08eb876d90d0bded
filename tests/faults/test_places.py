"""Places that are not like a local disk: no write permission, a network, no locks."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import engine.store.filesystem
from engine.spec import RunSpec
from engine.store.connection import connect, connect_read_only, journal_mode
from engine.store.filesystem import network_file_system, takes_locks
from engine.store.reading import Reader
from engine.store.schema import prepare
from engine.store.writing import add_command, add_run
from tests.tui.screen import expect_said, opened

from .conftest import LightLaboratory, settle, without_override

ON_A_NETWORK = """
import engine.store.filesystem, pathlib
engine.store.filesystem.MOUNTS = pathlib.Path({mounts!r})
"""

WITHOUT_LOCKS = """
import errno, fcntl
def flock(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""

HALF_A_TRANSACTION = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=5")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE step SET terms = terms || ' ', decoded_z = 'half'")
print("half-way", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel tells about mounts where this test's folder is on another machine."""
    path = tmp_path / "mountinfo"
    point = str(tmp_path).replace(" ", "\\040")
    path.write_text(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"36 22 0:40 / {point} rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2\n"
        f"37 22 0:41 / {point}-other rw,relatime - ext4 /dev/vdb rw\n"
    )
    monkeypatch.setattr(engine.store.filesystem, "MOUNTS", path)
    return path


def test_the_innermost_mount_says_what_a_path_is_on(mounts: Path, tmp_path: Path) -> None:
    assert network_file_system(tmp_path / "sessions.db") == "nfs4"
    assert network_file_system(tmp_path.parent / "sessions.db") is None
    assert network_file_system(Path(f"{tmp_path}-other/sessions.db")) is None


@pytest.mark.parametrize(
    ("kind", "is_network"),
    [
        *((kind, True) for kind in ("nfs", "cifs", "smb3", "9p", "lustre", "fuse.sshfs", "ceph", "gpfs")),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuse.mergerfs")),
    ],
)
def test_which_file_systems_are_of_other_machines(
    mounts: Path, tmp_path: Path, kind: str, is_network: bool
) -> None:
    mounts.write_text(mounts.read_text().replace("nfs4", kind))
    assert (network_file_system(tmp_path) is not None) is is_network


async def test_on_a_network_worker_and_viewer_work_with_a_rollback_journal(
    light: LightLaboratory, mounts: Path
) -> None:
    run, worker = light.running(ON_A_NETWORK.format(mounts=str(mounts)))
    assert "is on a network file system (nfs4): it is kept with a rollback journal" in light.log
    async with opened(light.database) as user:
        await expect_said(user, "is on a network file system (nfs4)", "use it from one machine at a time")
        await expect_said(user, "of 100")
        assert light.ask(run, "pause").status == "applied"
        await expect_said(user, "paused")
        assert light.ask(run, "resume").status == "applied"
    light.check_goes_on_without_a_gap(run, worker)
    assert not list(light.database.parent.glob("sessions.db-wal"))
    connection = connect_read_only(light.database)
    assert journal_mode(connection) == "delete"
    connection.close()

    # killed at any moment, with a transaction half-way: what was acknowledged is there
    with light.reader() as reader:
        acknowledged = reader.steps(run, limit=100_000)
    light.kill_worker()
    with light.reader() as reader:
        assert reader.steps(run, limit=100_000)[: len(acknowledged)] == acknowledged
    assert light.integrity() == "ok"


def test_a_database_in_wal_mode_that_comes_to_a_network_gets_a_rollback_journal(
    tmp_path: Path, mounts: Path
) -> None:
    database = tmp_path / "sessions.db"
    kept = mounts.read_text()
    mounts.write_text("")
    run = add_run(database, RunSpec(), device="cpu", session="tests")
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    mounts.write_text(kept)
    add_command(database, device="cpu", kind="stop", run=run)
    writer = connect(database)
    assert journal_mode(writer) == "delete"
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)  # every commit is on the disk
    writer.close()


def test_half_a_transaction_in_a_rollback_journal_is_never_read(tmp_path: Path, mounts: Path) -> None:
    database = Path(shutil.copy(Path(__file__).parents[1] / "data" / "revision_0002.db", tmp_path / "s.db"))
    prepare(database)
    with Reader(database) as reader:
        runs = reader.runs()
        before = {run.id: reader.steps(run.id) for run in runs}
    process = subprocess.Popen(
        [sys.executable, "-c", HALF_A_TRANSACTION, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half-way\n"
    process.kill()
    process.communicate()
    assert database.with_name("s.db-journal").stat().st_size > 0
    with Reader(database) as reader:
        assert {run.id: reader.steps(run.id) for run in reader.runs()} == before


def test_where_files_cannot_be_locked_the_database_says_who_is_at_work(light: LightLaboratory) -> None:
    run, worker = light.running(WITHOUT_LOCKS)
    assert "cannot be locked; going by what the database says" in light.log
    second = light.start_worker(f"{WITHOUT_LOCKS}\nfrom engine.work import lock\nlock.PATIENCE_S = 1")
    assert second.wait(timeout=60) == 0
    light.check_goes_on_without_a_gap(run, worker)

    # the next one takes over when the first has been killed
    light.kill_worker()
    light.start_worker(WITHOUT_LOCKS)
    assert light.wait_for_worker().pid != worker.pid
    assert light.ask(run, "resume").status == "applied"


def test_whether_files_can_be_locked_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert takes_locks(tmp_path)

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr("engine.store.filesystem.fcntl.flock", flock)
    assert not takes_locks(tmp_path)


def in_a_locked_folder(program: str, database: Path) -> subprocess.CompletedProcess[str]:
    """A child that has no permission to write in the database's folder."""
    return subprocess.run(
        [sys.executable, "-c", program, str(database)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=without_override,
    )


def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    database = folder / "sessions.db"
    run = add_run(database, RunSpec(), device="cpu", session="tests")
    settle(database)
    before = database.read_bytes()
    folder.chmod(0o555)
    database.chmod(0o444)
    try:
        call = "import sys\nfrom tui.cli import call\nsys.exit(call([{}, '--db', sys.argv[1]]))"
        reading = in_a_locked_folder(call.format("'list'"), database)
        writing = in_a_locked_folder(call.format(f"'stop', '{run}'"), database)
    finally:
        folder.chmod(0o755)
    assert (reading.returncode, reading.stderr) == (0, "")
    assert "tests" in reading.stdout
    assert writing.returncode == 2
    assert writing.stderr.startswith(f"sonar-explore: database: {database}: cannot be written: ")
    assert len(writing.stderr.splitlines()) == 1
    assert database.read_bytes() == before
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == ["sessions.db"]
    assert add_command(database, device="cpu", kind="stop", run=run) == 1  # and now it can be written


def test_rows_in_a_log_that_cannot_be_read_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    """Copied to a folder without write permission while a worker was at work."""
    source = tmp_path / "source.db"
    add_run(source, RunSpec(), device="cpu", session="in the file")
    settle(source)
    writer = connect(source)
    add_run(source, RunSpec(), device="cpu", session="in the log")
    folder = tmp_path / "folder"
    folder.mkdir()
    database = Path(shutil.copy(source, folder / "sessions.db"))
    shutil.copy(f"{source}-wal", folder / "sessions.db-wal")
    writer.close()
    folder.chmod(0o555)
    program = (
        "import pathlib, sys\nfrom engine.store.reading import Reader\n"
        "reader = Reader(pathlib.Path(sys.argv[1]))\n"
        "print(*(session.name for session in reader.sessions()), sep=', ')\nprint(reader.notice)"
    )
    try:
        seen = in_a_locked_folder(program, database)
    finally:
        folder.chmod(0o755)
    sessions, notice = seen.stdout.splitlines()
    assert sessions == "in the file"
    assert "its newest rows are in sessions.db-wal, which cannot be read in a folder without" in notice
    with Reader(database) as reader:
        assert [session.name for session in reader.sessions()] == ["in the file", "in the log"]
