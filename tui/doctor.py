"""`doctor`: is everything there that the program needs?"""

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.bundles import all_bundles
from engine.catalog.bundle_parts import cards_of, parts_of
from engine.compiler import check_compiler
from engine.errors import UserError
from engine.store.connection import REPAIR_HINT, connect_read_only
from engine.store.reading import Reader
from engine.store.schema import schema_revision

PYTHONS = ((3, 11), (3, 12))
LEAST_FREE_BYTES = 200 * 2**20
"""A run of 10,000 steps of SONAR's size with every z kept takes about 50 MB."""

_PACKAGES = ("torch", "fairseq2", "fairseq2n", "sonar-space", "transformers")
_PROBE_S = 180


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    is_well: bool
    subject: str
    detail: str


def examine(database: Path) -> Iterator[Finding]:
    """Look at everything, cheap things first."""
    yield _python()
    for package in _PACKAGES:
        yield _package(package)
    yield from _libraries()
    yield from _bundles()
    yield _disk(database)
    yield from examine_database(database)


def repaired(database: Path) -> tuple[bool, list[str]]:
    """Copy what can be read of a damaged database: whether that is everything, and what to tell the user.

    Raises:
        UserError: nothing can be copied, or a worker is at work on the database.
    """
    from engine.store.repair import repair

    result = repair(database)
    lines = [f"copied to {result.path}:"]
    for table in result.tables:
        lines.append(f"  {table.table:<14} {table.rows:>9,} rows")
        lines += [f"    not readable: {gap}" for gap in table.gaps]
    if result.lost_runs:
        runs = ", ".join(map(str, result.lost_runs))
        lines.append(f"  lost: what these runs were ({runs}); their rows are in the session 'repaired'")
    lines.append("everything could be read" if result.is_complete else "the rest could not be read")
    database = Path(os.path.realpath(database))
    old, new = shlex.quote(str(database)), shlex.quote(str(result.path))
    damaged = shlex.quote(f"{database}.damaged")
    side_files = f"{shlex.quote(f'{database}-wal')} {shlex.quote(f'{database}-shm')}"
    lines += [
        f"look at it:       sonar-explore --db {new}",
        f"put it in place:  mv {old} {damaged} && rm -f {side_files} && mv {new} {old}",
    ]
    return result.is_complete, lines


def _python() -> Finding:
    is_well = sys.version_info[:2] in PYTHONS
    allowed = "" if is_well else "; needed is 3.11 or 3.12"
    return Finding(is_well, "python", f"{sys.version.split()[0]} in {sys.prefix}{allowed}")


def _package(name: str) -> Finding:
    try:
        return Finding(True, name, version(name))
    except PackageNotFoundError:
        return Finding(False, name, "is not installed; run `make setup`")


def _libraries() -> Iterator[Finding]:
    """What only a process with torch can tell: do the libraries load, and which GPUs are here."""
    try:
        probe = subprocess.run(
            [sys.executable, "-m", "engine.apart.probe"], capture_output=True, text=True, timeout=_PROBE_S
        )
    except subprocess.TimeoutExpired:
        yield Finding(False, "libraries", f"took more than {_PROBE_S} s to load")
        return
    if probe.returncode != 0:
        last_line = (probe.stderr.strip().splitlines() or ["no message"])[-1]
        yield Finding(False, "libraries", f"do not load: {last_line}")
        return
    findings = json.loads(probe.stdout.splitlines()[-1])
    for library, problem in findings["problems"].items():
        yield Finding(False, library, f"does not load: {problem}")
    if findings["problems"]:
        return
    yield Finding(True, "gpu", ", ".join(findings["gpus"]) or "none that torch can use; runs take the CPU")
    if findings["gpus"]:
        yield _kernels()


def _kernels() -> Finding:
    """Whether there is what Triton makes kernels with: where not, steps are slower, and nothing is broken."""
    try:
        check_compiler("cuda:0")
    except UserError as error:
        missing = str(error).removeprefix("compile: needs ").partition(":")[0]
        return Finding(True, "kernels", f"cannot be made, so steps are slower: Triton needs {missing}")
    return Finding(True, "kernels", "can be made for steps and decoding")


def _bundles() -> Iterator[Finding]:
    """Which parts of each bundle are on this machine."""
    try:
        bundles = all_bundles()
        cards = cards_of(bundles.values())
    except UserError as error:
        yield Finding(False, "bundles", str(error))
        return
    for name, bundle in bundles.items():
        missing = [part for part in parts_of(bundle, cards) if not part.is_here]
        lost = [part.name for part in missing if part.address is None]
        if lost:
            yield Finding(False, f"bundle {name}", f"{', '.join(lost)} missing; `bundles` says where from")
        elif missing:
            names = ", ".join(part.name for part in missing)
            yield Finding(True, f"bundle {name}", f"{names} not here: `bundles fetch {name}` gets them")
        else:
            yield Finding(True, f"bundle {name}", "weights are here")


def _disk(database: Path) -> Finding:
    folder = database.resolve().parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(False, "disk", f"{folder}: {error.strerror}")
    return Finding(free >= LEAST_FREE_BYTES, "disk", f"{free / 2**30:.1f} GiB free in {folder}")


def examine_database(database: Path) -> Iterator[Finding]:
    """Look at a database and its workers."""
    if not database.exists():
        yield Finding(True, "database", f"{database}: not there yet; the first run makes it")
        return
    try:
        with Reader(database) as reader:
            workers = [worker for worker in reader.workers() if worker.alive]
            runs = len(reader.runs(with_archived=True))
        integrity, revision = _inspect(database)
    except UserError as error:
        yield Finding(False, "database", str(error).removeprefix("database: "))
        return
    notice = f"; {reader.notice.removeprefix('database: ')}" if reader.notice else ""
    advice = "" if integrity == "ok" else f"; {REPAIR_HINT}"
    detail = f"{database}: integrity {integrity}, schema {revision}, {runs} runs{notice}{advice}"
    yield Finding(integrity == "ok", "database", detail)
    for worker in workers:
        yield Finding(True, f"worker {worker.device}", f"process {worker.pid}, {worker.state}")


def _inspect(database: Path) -> tuple[str, str | None]:
    connection = connect_read_only(database)
    try:
        problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
        return "; ".join(problems), schema_revision(connection)
    except sqlite3.DatabaseError as error:
        return str(error), None
    finally:
        connection.close()
