"""Files that a worker keeps beside its database: its lock and its log."""

import glob
from pathlib import Path


def worker_lock(database: Path, device: str) -> Path:
    """The file that the one worker of this database and device holds locked."""
    return _beside(database, device, "lock")


def worker_log(database: Path, device: str) -> Path:
    """The file that takes the worker's standard output and error."""
    return _beside(database, device, "log")


def worker_locks(database: Path) -> list[Path]:
    """The locks of the workers that this database has ever had, one for each device."""
    return sorted(database.parent.glob(f"{glob.escape(database.name)}.worker-*.lock"))


def _beside(database: Path, device: str, suffix: str) -> Path:
    return database.with_name(f"{database.name}.worker-{device.replace(':', '-')}.{suffix}")
