"""Copies of a database beside it, each under a name of its own."""

import glob
import os
import re
import sqlite3
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

from engine.errors import UserError

_RESCUED = "rescued"


def reserve(path: Path, name: str) -> Path:
    """Make an empty file (mode 0600) of this name beside a path; what is there already stays.

    Returns:
        The file: `name`, or else `name.2`, `name.3`, …
    """
    for number in count(1):
        candidate = path.with_name(name if number == 1 else f"{name}.{number}")
        try:
            os.close(os.open(candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        return candidate
    raise AssertionError


def copy_database(source: sqlite3.Connection, path: Path, name: str) -> Path:
    """Copy an open database, its write-ahead log included, to a new file beside a path.

    Raises:
        OSError, sqlite3.Error: it cannot be copied, and no file is left.
    """
    copy = reserve(path, name)
    target = sqlite3.connect(copy)
    try:
        source.backup(target)
    except BaseException:
        copy.unlink()  # half of a copy would look like one
        raise
    finally:
        target.close()
    return copy


def rescue(source: sqlite3.Connection, path: Path) -> Path:
    """Copy a database that is still open, but no longer behind its name, to `NAME.rescued` beside it.

    It goes to the folder for temporary files where that one is gone too. The side files that it leaves
    behind are removed: SQLite would take them for those of the database that has its name now.

    Raises:
        OSError, sqlite3.Error: it cannot be copied.
    """
    name = f"{path.name}.{_RESCUED}"
    try:
        copy = copy_database(source, path, name)
    except OSError:
        copy = copy_database(source, Path(tempfile.gettempdir()) / path.name, name)
    opened = _open_files()
    for suffix in ("-wal", "-shm"):
        with suppress(OSError):
            beside = path.with_name(path.name + suffix)
            status = beside.stat()
            if (status.st_dev, status.st_ino) in opened:
                beside.unlink()
    return copy


def rescued_copies(path: Path) -> list[Path]:
    """What `rescue` has left beside a database, the last one last."""
    name = re.compile(rf"{re.escape(path.name)}\.{_RESCUED}(?:\.(\d+))?")
    beside = path.parent.glob(f"{glob.escape(path.name)}.{_RESCUED}*")
    found = {file: match for file in beside if (match := name.fullmatch(file.name))}
    return sorted(found, key=lambda file: int(found[file][1] or 1))


def rescue_hint(copy: Path) -> str:
    """What a user should know about a copy that `rescue` has made of a database that is gone."""
    return f"what the worker had recorded is in {copy.name}: rename it to have it back"


def no_such_database(path: Path) -> UserError:
    """The line for a database that is not there, with the copy that a worker has made of it, if any."""
    hints = [rescue_hint(copy) for copy in rescued_copies(path)[-1:]]
    return UserError("; ".join([f"database: {path}: there is no such file", *hints]))


def _open_files() -> set[tuple[int, int]]:
    """Device and number of every file that this process has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            status = descriptor.stat()
            found.add((status.st_dev, status.st_ino))
    return found
