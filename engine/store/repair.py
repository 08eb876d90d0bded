"""Save what can still be read of a damaged database, into a new file beside it.

SQLite stops at the first page that it cannot make sense of. Here every table is walked along its key from
both ends, and around what cannot be read by halving what lies between, so that a damaged page costs its own
rows only. Nothing of the damaged file is changed, and its indexes are not used.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engine.errors import UserError
from engine.store.connection import connect_read_only, is_damage, unreadable
from engine.store.copies import reserve
from engine.store.records import Status
from engine.store.schema import SCHEMA, migrate, newer, schema_revision
from engine.workerfiles import worker_locks

LOST_SESSION = "repaired"
"""Where runs are put whose session is lost."""

REPAIRED = "repaired"
"""Origin of a run of which only rows were left."""

_TABLES = (
    "session",
    "run",
    "break_point",
    "command",
    "task",
    "event",
    "decoded_text",
    "checkpoint",
    "vector",
)
"""Those that are walked along their row ids; `step` has none. A worker describes itself when it starts."""

_OF_A_RUN = ("break_point", "command", "task", "event", "decoded_text", "checkpoint", "vector", "step")
_NUMBERED = ("run", "event", "command", "break_point", "task")
"""Whose numbers are never given twice."""

_NO_END = 2**40
_CHUNK_ROWS = 256
_MOST_FAILURES = 2000
"""After so many places in vain, what is left between the rows of a table counts as lost."""

_MOST_RUNS = 10**6
"""A number beyond is itself damaged."""

Gap = tuple[int, int]
"""First and last key between which nothing can be read."""


@dataclass
class TableRepair:
    """What became of one table."""

    table: str
    rows: int = 0
    """How many were copied."""
    gaps: list[str] = field(default_factory=list)
    """What could not be read, in words: stretches of rows, or of a run's steps."""


@dataclass
class Repair:
    """What was saved of a damaged database."""

    path: Path
    """The new file."""
    tables: list[TableRepair]
    lost_runs: list[int]
    """Runs that are described nowhere any more; their rows are kept."""

    @property
    def is_complete(self) -> bool:
        """Whether everything could be read."""
        return not self.lost_runs and not any(table.gaps for table in self.tables)


def repair(path: Path) -> Repair:
    """Copy what can be read of a database to `NAME.repaired` beside it.

    Raises:
        UserError: a worker is at work on it, nothing can be read, it is newer than this program or of
            another one, or the copy cannot be written.
    """
    path = Path(os.path.realpath(path))
    _check_no_worker(path)
    source = _opened(path)
    try:
        tables = _columns(path, source)
        revision = _revision(path, source)
        target = reserve(path, f"{path.name}.repaired")
        try:
            return _copy_all(source, tables, target, revision)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"database: {path}.repaired: cannot be written: {error.strerror}") from error
    finally:
        source.close()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return connect_read_only(path)
    except UserError as error:
        if error.__cause__ is None or not is_damage(error.__cause__):
            raise
        raise _lost(path, error.__cause__) from error


def _lost(path: Path, error: BaseException) -> UserError:
    return UserError(
        f"database: {path}: nothing of it can be read ({error}); "
        f"older copies beside it, if there are any, are called {path.name}.backup-…"
    )


def _check_no_worker(path: Path) -> None:
    for file in worker_locks(path):
        try:
            with FileLock(file).acquire(timeout=0):
                pass
        except Timeout:
            raise UserError(
                f"database: {path}: a worker is at work on it: stop it first (`sonar-explore worker stop`)"
            ) from None


def _columns(path: Path, source: sqlite3.Connection) -> dict[str, list[str]]:
    """The tables that are there, and their columns."""
    try:
        names = {name for (name,) in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        return {
            table: [str(row[1]) for row in source.execute(f"PRAGMA table_info({table})")]
            for table in (*_TABLES, "step")
            if table in names
        }
    except sqlite3.DatabaseError as error:
        raise _lost(path, error) from error


def _revision(path: Path, source: sqlite3.Connection) -> str:
    try:
        revision = schema_revision(source) or SCHEMA
    except sqlite3.DatabaseError:
        return SCHEMA
    except UserError as error:
        raise UserError(f"database: {path}: {error}") from None
    if revision > SCHEMA:
        raise newer(path, revision)
    return revision


def _copy_all(source: sqlite3.Connection, tables: dict[str, list[str]], path: Path, revision: str) -> Repair:
    migrate(path, revision)
    target = sqlite3.connect(path, isolation_level=None)
    try:
        target.execute("PRAGMA foreign_keys=OFF")  # what belongs to something lost is given a home below
        target.execute("PRAGMA synchronous=OFF")  # a copy that is interrupted is thrown away
        target.execute("BEGIN IMMEDIATE")
        source.text_factory = _text
        repaired = [_copy_table(source, target, table, tables[table]) for table in _TABLES if table in tables]
        if "step" in tables:
            repaired.append(_copy_steps(source, target, tables["step"]))
        lost_runs = _give_homes(target)
        _keep_numbers(source, target)
        target.execute("COMMIT")
    finally:
        target.close()
    migrate(path)
    _check(path)
    return Repair(path, repaired, lost_runs)


def _copy_table(
    source: sqlite3.Connection, target: sqlite3.Connection, table: str, columns: Sequence[str]
) -> TableRepair:
    result = TableRepair(table)
    walk = _Walk(source, f"SELECT rowid, {', '.join(columns)} FROM {table} NOT INDEXED WHERE", "rowid")
    for key, *row in walk.rows(0, _NO_END):
        _insert(target, result, columns, row, f"row {key}")
    highest = (_highest_number(source, table) if table in _NUMBERED else 0) or _NO_END - 1
    gaps = [(first, min(last, highest)) for first, last in walk.gaps if first <= highest]
    result.gaps += [_stretch("row", gap) for gap in gaps]
    return result


def _copy_steps(
    source: sqlite3.Connection, target: sqlite3.Connection, columns: Sequence[str]
) -> TableRepair:
    """The steps are keyed by run and step: each run that anything is known of is walked by itself."""
    result = TableRepair("step")
    ends = {run: steps + 1 for run, steps in target.execute("SELECT id, steps FROM run")}
    for run in sorted({*ends, *_other_runs(source, target)}):
        select = f"SELECT step, {', '.join(columns)} FROM step NOT INDEXED WHERE run = {run} AND"
        walk = _Walk(source, select, "step")
        rows = result.rows
        for key, *row in walk.rows(-1, ends.get(run, _NO_END)):
            _insert(target, result, columns, row, f"run {run}, step {key}")
        if run in ends or result.rows > rows:
            result.gaps += [f"run {run}, {_stretch('step', gap)}" for gap in walk.gaps]
    return result


def _other_runs(source: sqlite3.Connection, target: sqlite3.Connection) -> set[int]:
    """Runs that there may be steps of, although they are not described."""
    highest = _highest_number(source, "run")
    for table in _OF_A_RUN:
        if table != "step" and _has(target, table):
            (number,) = target.execute(f"SELECT max(run) FROM {table}").fetchone()
            highest = max(highest, number or 0)
    with suppress(sqlite3.DatabaseError):
        (number,) = source.execute("SELECT run FROM step NOT INDEXED ORDER BY run DESC LIMIT 1").fetchone()
        highest = max(highest, number)
    return set(range(1, min(highest, _MOST_RUNS) + 1))


class _Walk:
    """Reads the rows of a table along a whole-number key, whatever of it is damaged."""

    def __init__(self, source: sqlite3.Connection, select: str, key: str) -> None:
        """`select` goes up to where the conditions on the key begin; its first column is the key."""
        self._source = source
        self._sql = f"{select} {key} > ? AND {key} < ? AND typeof({key}) = 'integer' ORDER BY {key}"
        self._failures = 0
        self.gaps: list[Gap] = []
        """What could not be read, in order."""

    def rows(self, low: int, high: int) -> Iterator[tuple[Any, ...]]:
        """The rows with keys between `low` and `high`, neither included, in no particular order."""
        pending = [(low - high, low, high)]  # the widest stretch first
        lost = []
        while pending:
            _, low, high = heappop(pending)
            is_at_end = False
            for order in ("ASC", "DESC"):
                for rows in self._until_damage(low, high, order):
                    yield from rows
                    is_at_end = not rows
                    if rows:
                        low, high = (rows[-1][0], high) if order == "ASC" else (low, rows[-1][0])
                if is_at_end:
                    break
            else:
                if high - low <= 2 or self._failures > _MOST_FAILURES:
                    lost.append((low + 1, high - 1))
                    continue
                middle = (low + high) // 2
                heappush(pending, (low - middle - 1, low, middle + 1))
                heappush(pending, (middle - high, middle, high))
        self.gaps = _joined(lost)

    def _until_damage(self, low: int, high: int, order: str) -> Iterator[list[tuple[Any, ...]]]:
        """Rows from one end on, some at a time; none at last, unless damage comes before."""
        count = _CHUNK_ROWS
        while count:
            try:
                rows = self._source.execute(f"{self._sql} {order} LIMIT {count}", (low, high)).fetchall()
            except sqlite3.DatabaseError:
                self._failures += 1
                count //= 2  # the rows before the damage come in smaller bites
                continue
            yield rows
            if not rows:
                return
            low, high = (rows[-1][0], high) if order == "ASC" else (low, rows[-1][0])


def _joined(gaps: list[Gap]) -> list[Gap]:
    """The same gaps in order, those that touch as one."""
    joined: list[Gap] = []
    for first, last in sorted(gap for gap in gaps if gap[0] <= gap[1]):
        if joined and joined[-1][1] >= first - 1:
            first, _ = joined.pop()
        joined.append((first, last))
    return joined


def _insert(
    target: sqlite3.Connection, result: TableRepair, columns: Sequence[str], row: Sequence[object], where: str
) -> None:
    marks = ", ".join("?" * len(columns))
    try:
        target.execute(f"INSERT INTO {result.table} ({', '.join(columns)}) VALUES ({marks})", row)
    except sqlite3.IntegrityError as error:  # a page that can be read, but is not what it was
        result.gaps.append(f"{where}: {error}")
    else:
        result.rows += 1


def _give_homes(target: sqlite3.Connection) -> list[int]:
    """Make runs for rows whose run is lost, and a session for runs whose session is; the lost runs' ids."""
    known = {run for (run,) in target.execute("SELECT id FROM run")}
    seen = {
        run
        for table in _OF_A_RUN
        if _has(target, table)
        for (run,) in target.execute(f"SELECT DISTINCT run FROM {table} WHERE run IS NOT NULL")
    }
    lost = sorted(seen - known)
    homeless = target.execute(
        "SELECT id FROM run WHERE session_id NOT IN (SELECT id FROM session) ORDER BY id"
    ).fetchall()
    if lost or homeless:
        home = _lost_session(target)
        for number, (run,) in enumerate(homeless, 1):
            target.execute("UPDATE run SET session_id = ?, number = ? WHERE id = ?", (home, number, run))
        for number, run in enumerate(lost, len(homeless) + 1):
            _add_lost_run(target, run, home, number)
    target.execute("UPDATE run SET parent_run = NULL WHERE parent_run NOT IN (SELECT id FROM run)")
    return lost


def _lost_session(target: sqlite3.Connection) -> int:
    notes = "Runs of a damaged database whose session could not be read."
    names = {name for (name,) in target.execute("SELECT name FROM session")}
    name, number = LOST_SESSION, 1
    while name in names:
        number += 1
        name = f"{LOST_SESSION} {number}"
    key = target.execute(
        "INSERT INTO session (name, created, notes) VALUES (?, ?, ?)", (name, time.time(), notes)
    ).lastrowid
    assert key is not None
    return key


def _add_lost_run(target: sqlite3.Connection, run: int, session: int, number: int) -> None:
    from engine.spec import RunSpec, TextInit

    unknown = "(could not be read)"
    steps, lr = target.execute(
        "SELECT coalesce(max(step), 0), coalesce(max(lr), 0.01) FROM step WHERE run = ?", (run,)
    ).fetchone()
    spec = RunSpec(init=TextInit(text=unknown), target=unknown, steps=max(steps, 1), lr=lr)
    values = {
        "id": run,
        "session_id": session,
        "number": number,
        "name": f"run {run}",
        "spec": spec.model_dump_json(),
        "init": unknown,
        "target": unknown,
        "loss_name": spec.loss_name,
        "bundle": spec.bundle,
        "lr": lr,
        "steps": spec.steps,
        "status": Status.CRASHED,
        "origin": REPAIRED,
        "device": "cpu",
        "seed": spec.seed,
        "error": "what it was could not be read from the damaged database; its rows are as they were",
        "created": time.time(),
    }
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    target.execute(f"INSERT INTO run ({columns}) VALUES ({marks})", tuple(values.values()))


def _keep_numbers(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """See to it that a number which was given to a run, event or command is not given again."""
    for table in _NUMBERED:
        if _has(target, table):
            highest = max(_highest_number(source, table), _highest_number(target, table))
            target.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, highest))


def _highest_number(connection: sqlite3.Connection, table: str) -> int:
    """The highest number that a table has ever given; 0 when that cannot be read."""
    with suppress(sqlite3.DatabaseError, ValueError):
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(row[0]) if row and row[0] is not None else 0
    return 0


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone() is not None


def _check(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)")]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise unreadable(path, error) from error
    finally:
        connection.close()
    if problems != ["ok"] or orphans is not None:
        raise UserError(f"database: {path}: the copy does not hold together: {orphans or problems[0]}")


def _stretch(what: str, gap: Gap) -> str:
    first, last = gap
    if last == _NO_END - 1:
        return f"{what}s from {first} on, if there were any"
    return f"{what} {first}" if first == last else f"{what}s {first}–{last}"


def _text(data: bytes) -> str:
    """A damaged text may be no UTF-8 any more."""
    return data.decode("utf-8", "replace")
