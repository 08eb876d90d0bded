"""A session file as a database of its own: its tables as they were written, then brought up to date.

What the file says is checked here: by types, by the tables' own constraints, and by what readers rely on.
"""

import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.sharing.archive import Archive, DamagedError
from engine.sharing.layout import BYTES_TABLES, TABLES
from engine.spec import RunSpec, explain
from engine.store.schema import SCHEMA, migrate

_ROWS_AT_ONCE = 100
_LARGEST_INTEGER = 2**63 - 1
_NUMBERS = frozenset((int, float))
"""What JSON makes of a number; `true` is none."""


def stage(archive: Archive, database: Path) -> None:
    """Make `database`, a new file, from an archive.

    Raises:
        DamagedError: something in the archive is not as it should be.
        UserError: the database cannot be written.
    """
    os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    migrate(database, archive.schema)
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=OFF")  # nobody looks at a file that was not finished
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        for table in TABLES:
            _fill(connection, archive, table)
        connection.execute("COMMIT")
        _check_references(connection)
    except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.DataError) as error:
        raise DamagedError(f"its tables do not fit together: {error}") from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise DamagedError(f"a value cannot be stored: {error}") from error
    finally:
        connection.close()
    if archive.schema < SCHEMA:
        migrate(database)


def _fill(connection: sqlite3.Connection, archive: Archive, table: str) -> None:
    types = {
        name: kind.partition("(")[0]
        for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
    }
    statement = f"INSERT INTO {table} ({', '.join(types)}) VALUES ({', '.join('?' * len(types))})"
    rows = _values(archive, table, types)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        connection.executemany(statement, some)


def _values(archive: Archive, table: str, types: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    data = archive.data(table) if table in BYTES_TABLES else None
    for number, row in enumerate(archive.rows(table), start=1):
        try:
            _check_row(table, row, types)
        except DamagedError as error:
            raise DamagedError(f"{table}.jsonl: row {number}: {error}") from error
        if data is not None:
            row["data"] = data.take(row["data"])
        yield tuple(row.values()) if list(row) == list(types) else tuple(row[name] for name in types)
    if data is not None:
        data.finish()


def _check_row(table: str, row: Mapping[str, Any], types: Mapping[str, str]) -> None:
    if row.keys() != types.keys():
        wrong = sorted(row.keys() ^ types.keys())
        raise DamagedError(f"{wrong[0]!r:.60} is missing, or does not belong there")
    for name, kind in types.items():
        value = row[name]
        if value is not None and not _IS_OF_TYPE[kind](value):
            raise DamagedError(f"{name}: {value!r:.60} cannot stand there")
    for name, check in _CONTENTS.get(table, {}).items():
        if row.get(name) is not None:  # an older schema may not have it
            try:
                check(row[name])
            except DamagedError as error:
                raise DamagedError(f"{name}: {error}") from error


def _check_references(connection: sqlite3.Connection) -> None:
    """Only a parent may be elsewhere: in another session, which the file does not hold."""
    for table, _, referred, _ in connection.execute("PRAGMA foreign_key_check"):
        if (table, referred) != ("run", "run"):
            raise DamagedError(f"{table}.jsonl: names a {referred} that is not there")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INTEGER


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBERS and math.isfinite(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_IS_OF_TYPE: Mapping[str, Callable[[object], bool]] = {
    "INTEGER": _is_whole,
    "BIGINT": _is_whole,
    "BOOLEAN": lambda value: value in (0, 1),
    "FLOAT": _is_number,
    "VARCHAR": _is_text,
    "TEXT": _is_text,
    "BLOB": _is_whole,  # how many bytes there are
}


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"is no JSON: {error}") from error


def _check_spec(text: str) -> None:
    try:
        RunSpec.model_validate_json(text)
    except ValidationError as error:
        raise DamagedError(explain(error)) from error


def _check_object(text: str) -> None:
    if not isinstance(_parsed(text), dict):
        raise DamagedError("is no JSON object")


def _check_numbers(text: str) -> None:
    value = _parsed(text)
    if not isinstance(value, dict) or not _are_numbers(value.values()):
        raise DamagedError("is no JSON object of numbers")


def _check_losses(text: str) -> None:
    value = _parsed(text)
    if not isinstance(value, list) or not _are_numbers(value):
        raise DamagedError("is no JSON array of numbers")


def _are_numbers(values: Iterable[Any]) -> bool:
    """Whether all are finite numbers, or are not there."""
    known = [value for value in values if value is not None]
    return _NUMBERS.issuperset(map(type, known)) and all(map(math.isfinite, known))


def _check_texts(text: str) -> None:
    value = _parsed(text)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DamagedError("is no JSON array of texts")


def _check_named_texts(text: str) -> None:
    value = _parsed(text)
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise DamagedError("is no JSON object of texts")


def _check_sentences(text: str) -> None:
    value = _parsed(text)
    if not isinstance(value, list) or not all(map(_is_sentence, value)):
        raise DamagedError("is no JSON array of sentences")


def _is_sentence(value: object) -> bool:
    """A text, its cross-entropy, and whether it matches."""
    match value:
        case [str(), ce, bool() | None]:
            return ce is None or _is_number(ce)
    return False


_CONTENTS: Mapping[str, Mapping[str, Callable[[str], None]]] = {
    "session": {"tags": _check_texts},
    "run": {
        "spec": _check_spec,
        "weights": _check_numbers,
        "schedules": _check_named_texts,
        "environment": _check_named_texts,
    },
    "step": {
        "terms": _check_numbers,
        "weights": _check_numbers,
        "token_losses": _check_losses,
        "measures": _check_numbers,
        "sentences": _check_sentences,
    },
    "command": {"arguments": _check_object},
    "task": {"arguments": _check_object, "result": _check_object},
}
"""What texts hold that readers take for more than a text."""
