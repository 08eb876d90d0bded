"""Look at a session file before anything of it is believed."""

import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipExtFile, ZipFile

from engine.errors import UserError
from engine.sharing.layout import FIRST_SCHEMA, FORMAT, MANIFEST, MEMBERS, VERSION, Member
from engine.store.schema import SCHEMA

MOST_BYTES = 64 * 2**30
"""All parts of a file together, unpacked"""

_MOST_MANIFEST_BYTES = 64 * 2**10
_MOST_LINE_BYTES = 64 * 2**20
_MOST_DATA_BYTES = 256 * 2**20
_BUFFER_BYTES = 2**20
_PLAUSIBLE_RATIO, _HARMLESS_BYTES = 300, 2**30
_ENCRYPTED = 0x1


class DamagedError(Exception):
    """Something in a session file is not as it was written."""


@dataclass(frozen=True)
class Archive:
    """A session file whose parts are the right ones and of bearable size."""

    file: ZipFile
    schema: str
    """Revision of the tables in it."""
    members: Mapping[str, Member]

    @cached_property
    def digest(self) -> str:
        """What tells this content from any other."""
        content = sorted((name, member.sha256) for name, member in self.members.items())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all parts, unpacked."""
        return sum(member.size for member in self.members.values())

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The objects of a table.

        Raises:
            DamagedError: a line is no object, or the part is not what the manifest says.
        """
        name = f"{table}.jsonl"
        digest = hashlib.sha256()
        with self._part(name) as member:
            for number, line in enumerate(iter(lambda: member.readline(_MOST_LINE_BYTES), b""), start=1):
                digest.update(line)
                if not line.endswith(b"\n"):
                    raise DamagedError(f"{name}: line {number} has no end")
                yield _object(line, f"{name}: line {number}")
        self._check(name, digest.hexdigest())

    def data(self, table: str) -> "DataReader":
        """The bytes of a table, to be taken in the order of its objects."""
        return DataReader(self, f"{table}.bin")

    def _part(self, name: str) -> io.BufferedReader:
        """A part, unpacked in larger pieces than it is taken in."""
        return io.BufferedReader(cast(ZipExtFile, self.file.open(name)), _BUFFER_BYTES)

    def _check(self, name: str, sha256: str) -> None:
        if sha256 != self.members[name].sha256:
            raise DamagedError(f"{name} is not what was written: its digest is another one")


class DataReader:
    """Takes bytes out of a part, piece by piece."""

    def __init__(self, archive: Archive, name: str) -> None:
        self._archive = archive
        self._name = name
        self._member = archive._part(name)
        self._digest = hashlib.sha256()

    def take(self, size: int) -> bytes:
        """The next piece.

        Raises:
            DamagedError: there are not so many bytes left, or nothing of this size can be meant.
        """
        if not 0 <= size <= _MOST_DATA_BYTES:
            raise DamagedError(
                f"{self._name}: {size} bytes for one row; at most {_MOST_DATA_BYTES} are allowed"
            )
        data = self._member.read(size)
        if len(data) != size:
            raise DamagedError(f"{self._name} ends too early")
        self._digest.update(data)
        return data

    def finish(self) -> None:
        """Make sure that all has been taken, and was what the manifest says."""
        with self._member:
            if self._member.read(1):
                raise DamagedError(f"{self._name} holds more than its rows say")
        self._archive._check(self._name, self._digest.hexdigest())


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a session file.

    Raises:
        UserError: it is none, it is a newer one, it is damaged, or what is in it is not what belongs there.
            That goes for what is read of it later, too.
    """
    try:
        with path.open("rb") as file:
            try:
                with ZipFile(file) as archive:
                    yield _checked(archive)
            except (BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                raise UserError(f"import: {path}: is no session file, or a damaged one: {error}") from error
            except DamagedError as error:
                raise UserError(f"import: {path}: {error}") from error
    except OSError as error:
        raise UserError(f"import: {path}: cannot be read: {error.strerror or error}") from error


def _checked(archive: ZipFile) -> Archive:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if MANIFEST not in names:
        raise DamagedError(f"is no session file: it has no {MANIFEST}")
    sizes = {entry.filename: entry.file_size for entry in entries}
    if sizes[MANIFEST] > _MOST_MANIFEST_BYTES:
        raise DamagedError(
            f"{MANIFEST} has {sizes[MANIFEST]} bytes; at most {_MOST_MANIFEST_BYTES} are allowed"
        )
    manifest = _object(archive.read(MANIFEST), MANIFEST)
    schema = _schema(manifest)
    if strange := [name for name in names if name not in (MANIFEST, *MEMBERS)]:
        raise DamagedError(f"{strange[0]!r:.60} does not belong into a session file")
    if len(set(names)) != len(names):
        raise DamagedError("has two parts of the same name")
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise DamagedError(f"{entry.filename} is encrypted, or compressed in a way that is not allowed")
    members = _members(manifest)
    for name in MEMBERS:
        if name not in sizes or name not in members:
            raise DamagedError(f"{name} is missing")
        if members[name].size != sizes[name]:
            raise DamagedError(f"{name} is not what was written: it has another size")
    total, packed = sum(sizes.values()), sum(entry.compress_size for entry in entries)
    if total > MOST_BYTES or (total > _HARMLESS_BYTES and total > _PLAUSIBLE_RATIO * packed):
        raise DamagedError(
            f"would grow from {packed} to {total} bytes: that is not plausible, and is not read"
        )
    return Archive(archive, schema, members)


def _schema(manifest: Mapping[str, Any]) -> str:
    if manifest.get("format") != FORMAT:
        raise DamagedError("is no session file")
    version, schema = manifest.get("version"), manifest.get("schema")
    if not isinstance(version, int) or not isinstance(schema, str) or not re.fullmatch(r"\d{4}", schema):
        raise DamagedError(f"{MANIFEST} names no version or no schema")
    if version > VERSION or schema > SCHEMA:
        raise DamagedError(
            f"was written by a newer program (version {version}, schema {schema}; this one reads up to "
            f"{VERSION}, {SCHEMA}): install a newer sonar-explore"
        )
    if version < 1 or schema < FIRST_SCHEMA:
        raise DamagedError(f"{MANIFEST}: there is no version {version} with schema {schema}")
    return schema


def _members(manifest: Mapping[str, Any]) -> dict[str, Member]:
    members = {}
    said = manifest.get("members")
    for name, member in said.items() if isinstance(said, dict) else ():
        match member:
            case {"size": int(size), "sha256": str(sha256)}:
                members[name] = Member(size, sha256)
    return members


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(text.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where}: is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{where}: is no object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
