"""A long run and many runs in one database: what they take, and whether anything grows that should not.

    python -m benchmarks.soak [--steps 200000] [--runs 2000] [--steps-of-each 50] [--folder PATH]

Another process records, as fast as it can, as the worker does: every z, the texts of every tenth step, a
checkpoint every fifty. The explorer watches it in a pseudo-terminal. Prints what the file takes for each
step, the memory of both processes on the way, and how long opening and searching take afterwards.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.live_run import DECODE_EVERY, DIMENSION, begin, step_record
from benchmarks.viewer import Screen
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.records import Status
from engine.store.run_changes import Event
from engine.store.searching import search

STEPS, RUNS, STEPS_OF_EACH = 200_000, 2_000, 50
MILESTONES = (0.1, 0.5, 1.0)
CHECKPOINT_STEPS = 50
CHECKPOINT_BYTES = 3 * 8 * DIMENSION  # z and both of Adam's moments, in double precision
BYTES_A_STEP = 10_000
"""More than it comes to, to see beforehand whether there is room."""

OPENING_BOUND_S = 0.5
GROWTH_BOUND = 1.1
"""Memory at the end over memory at the first milestone."""

_TIMES = 5


def record(database: Path, steps: int, runs: int, steps_of_each: int) -> None:
    """Record one long run and then many short ones."""
    _record_run(database, "long", steps)
    for number in range(runs):
        _record_run(database, f"short {number // 100}", steps_of_each)


def _record_run(database: Path, session: str, steps: int) -> None:
    recorder, run = begin(database, session)
    values = np.random.default_rng(run)
    checkpoint = bytes(CHECKPOINT_BYTES)
    for step in range(steps):
        row = step_record(run, step)
        vectors = {"z": values.standard_normal(DIMENSION, np.float32)}
        if step % DECODE_EVERY == 0:
            vectors["prediction"] = vectors["z"]
        is_due = step % CHECKPOINT_STEPS == 0
        recorder.record_step(row, vectors, checkpoint if is_due else None)
    recorder.end(run, steps - 1, Status.FINISHED, Event("finished"))
    recorder.close()


def measure(
    folder: Path, steps: int, runs: int, steps_of_each: int, *, settle_s: float = 2.0
) -> Iterator[str]:
    """One line for each measurement; the viewer gets `settle_s` to catch up before each look at it.

    Raises:
        SystemExit: there is no room for it.
    """
    needed, free = BYTES_A_STEP * (steps + runs * steps_of_each), shutil.disk_usage(folder).free
    if free < needed:
        sys.exit(f"soak: {folder} has {free / 2**30:.1f} GiB free, and {needed / 2**30:.1f} GiB are needed")
    database = folder / "soak.db"
    arguments = [str(database), str(steps), str(runs), str(steps_of_each)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.soak", "--record", *arguments])
    try:
        _wait_until(lambda: _rows(database) > 0, process)
        yield from _growth(database, process, steps, runs * steps_of_each, settle_s)
    finally:
        process.kill()
        process.wait()
    yield from _size(database, steps + runs * steps_of_each)
    yield from _times(database)


def _growth(
    database: Path,
    process: subprocess.Popen[bytes],
    long_steps: int,
    short_steps: int,
    settle_s: float,
) -> Iterator[str]:
    for what, first, count in (("the long run", 0, long_steps), ("many runs", long_steps, short_steps)):
        recorder_bytes: dict[float, int] = {}
        viewer_bytes: dict[float, int] = {}
        with Screen(database) as screen:
            screen.bytes_in(settle_s)
            started = time.perf_counter()
            for share in MILESTONES:
                while _rows(database) < first + share * count and process.poll() is None:
                    screen.bytes_in(0.2)
                if process.poll() is None:
                    recorder_bytes[share] = _resident_bytes(process.pid)
                screen.bytes_in(settle_s)
                viewer_bytes[share] = _resident_bytes(screen.pid)
            rate = count / (time.perf_counter() - started)
        yield f"{what}: {count:,} steps, {rate:,.0f} a second while it is watched"
        for who, taken in (("recorder", recorder_bytes), ("viewer", viewer_bytes)):
            if taken:
                sizes = ", ".join(f"{each / 2**20:.0f} MiB at {share:.0%}" for share, each in taken.items())
                growth = [*taken.values()][-1] / next(iter(taken.values()))
                yield f"  memory of the {who}: {sizes}: ×{growth:.2f} (bound ×{GROWTH_BOUND})"


def _size(database: Path, steps: int) -> Iterator[str]:
    connection = connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = database.stat().st_size
    yield f"file: {size / 2**20:,.0f} MiB, {size / steps:,.0f} bytes a step with every z of {DIMENSION}"


def _times(database: Path) -> Iterator[str]:
    with Reader(database) as reader:
        longest = max(reader.runs(), key=lambda run: run.last_step or 0)
        decoded = (longest.last_step or 0) // (2 * DECODE_EVERY) * DECODE_EVERY
        questions: tuple[tuple[str, Callable[[], object]], ...] = (
            ("search: a word of every text", lambda: search(reader, "lot")),
            (
                "search: a word of one text",
                lambda: search(reader, f'"number {decoded}"'),
            ),
            ("search: a word of none", lambda: search(reader, "dragon")),
            ("the newest 500 rows of the long run", lambda: reader.last_steps(longest.id, limit=500)),
        )
        yield f"opening and listing {len(reader.runs()):,} runs: {_within(_best_s(lambda: _list(database)))}"
        for what, ask in questions:
            yield f"{what}: {_within(_best_s(ask))}"


def _list(database: Path) -> None:
    with Reader(database) as reader:
        reader.runs()


def _best_s(work: Callable[[], object]) -> float:
    """Seconds, the shortest of a few times: the rest is other load."""
    times = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _within(seconds: float) -> str:
    verdict = "holds" if seconds <= OPENING_BOUND_S else "misses"
    return f"{seconds * 1e3:.1f} ms (bound {OPENING_BOUND_S * 1e3:.0f} ms): {verdict}"


def _rows(database: Path) -> int:
    """How many rows are recorded, of whatever run."""
    if not database.exists():
        return 0
    with Reader(database) as reader:
        return sum(
            (last or -1) + 1
            for (last,) in reader.rows("SELECT (SELECT max(step) FROM step WHERE run = run.id) FROM run")
        )


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            if condition():
                return
        except Exception:  # its tables are just being made
            if process.poll() is not None:
                raise
        time.sleep(0.1)


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print each line as it comes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="of the long run")
    parser.add_argument("--runs", type=int, default=RUNS, help="how many short ones")
    parser.add_argument("--steps-of-each", type=int, default=STEPS_OF_EACH)
    parser.add_argument("--folder", type=Path, help="where the database is made, and removed again")
    parser.add_argument("--record", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        path, *numbers = options.record
        record(Path(path), *map(int, numbers))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for line in measure(Path(folder), options.steps, options.runs, options.steps_of_each):
            print(line, flush=True)


if __name__ == "__main__":
    main()
