"""Write a session into a file, whole or not at all. The same session always gives the same bytes."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from engine import __version__
from engine.errors import UserError
from engine.export.whole import check_new, written_whole
from engine.sharing.layout import (
    BYTES_TABLES,
    FORMAT,
    MANIFEST,
    RUN_TABLES,
    VERSION,
    Member,
)
from engine.store.connection import connect_read_only, unreadable
from engine.store.reading import Reader
from engine.store.schema import SCHEMA

_BLOCK_BYTES = 2**20


def pack_session(database: Path, session: str, path: Path, *, force: bool = False) -> int:
    """Write a session with all that is recorded of its runs; deleted runs are left out.

    Returns:
        The number of runs.

    Raises:
        UserError: there is no such session, the database cannot be read, or the file is there already (and
            `force` is not given) or cannot be written. Nothing is left behind.
    """
    with Reader(database) as reader:  # which also brings an older database up to date
        if reader.notice is not None:
            raise UserError(reader.notice)
    path = check_new(path, database, force=force)
    connection = connect_read_only(database)
    try:
        connection.execute("BEGIN")  # everything as it is at one moment
        row = connection.execute(
            "SELECT id FROM session WHERE name = ? AND deleted IS NULL", (session,)
        ).fetchone()
        if row is None:
            raise UserError(f"session: there is no session {session!r} in {database}")
        with written_whole(path) as temporary, ZipFile(temporary, "x") as archive:
            return _write(connection, int(row[0]), archive)
    except sqlite3.DatabaseError as error:
        raise unreadable(database, error) from error
    finally:
        connection.close()


def _write(connection: sqlite3.Connection, session: int, archive: ZipFile) -> int:
    runs = "SELECT id FROM run WHERE session_id = :session AND deleted IS NULL"
    selections = {
        "session": "WHERE id = :session",
        "run": "WHERE session_id = :session AND deleted IS NULL ORDER BY id",
        **{table: f"WHERE run IN ({runs}) ORDER BY {order}" for table, order in RUN_TABLES.items()},
    }
    members: dict[str, Member] = {}
    key = {"session": session}
    for table, selection in selections.items():
        columns = [
            f"length({name})" if kind == "BLOB" else name
            for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
        ]
        names = [name.removeprefix("length(").removesuffix(")") for name in columns]
        rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table} {selection}", key)
        members[f"{table}.jsonl"] = _add(archive, f"{table}.jsonl", _lines(names, rows), ZIP_DEFLATED)
        if table in BYTES_TABLES:
            data = connection.execute(f"SELECT data FROM {table} {selection}", key)
            members[f"{table}.bin"] = _add(archive, f"{table}.bin", (row[0] for row in data), ZIP_STORED)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "schema": SCHEMA,
        "program": __version__,
        "members": {name: {"size": member.size, "sha256": member.sha256} for name, member in members.items()},
    }
    _add(archive, MANIFEST, [json.dumps(manifest, indent=1).encode()], ZIP_DEFLATED)
    return int(connection.execute(f"SELECT count(*) FROM ({runs})", key).fetchone()[0])


def _lines(names: list[str], rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    encode = json.JSONEncoder(allow_nan=False).encode
    for row in rows:
        yield f"{encode(dict(zip(names, row, strict=True)))}\n".encode()


def _add(archive: ZipFile, name: str, chunks: Iterable[bytes], compression: int) -> Member:
    entry = ZipInfo(name)  # with a time of its own, the same session would give other bytes
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(entry, "w", force_zip64=True) as member:
        for block in _blocks(chunks):
            member.write(block)
            digest.update(block)
            size += len(block)
    return Member(size, digest.hexdigest())


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in few pieces."""
    gathered, size = [], 0
    for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _BLOCK_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)
