"""A file is there whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import UserError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its name when it is whole.

    Raises:
        UserError: it cannot be written. Nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"to: {path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_new(path: Path, database: Path, *, force: bool) -> Path:
    """The absolute path of a file that may be written.

    Raises:
        UserError: the file is there already and `force` is not given, or it is the database itself or no
            ordinary file.
    """
    path = path.resolve()
    if path.exists():
        if not path.is_file():
            raise UserError(f"to: {path}: is not an ordinary file")
        if path.samefile(database):
            raise UserError(f"to: {path}: is the database itself")
        if not force:
            raise UserError(f"to: {path}: is there already; --force overwrites it")
    return path
