"""A database of thousands of runs, opened, searched and cleared: `python -m benchmarks.many_runs [RUNS]`.

The screen runs in a pseudo-terminal; the times of the screen are from a key, or from the command, to the text
on the terminal.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.viewer import Measurement, Screen
from engine.spec import PUBLISHED_TARGET, RunSpec
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.schema import prepare
from engine.store.searching import search
from engine.store.sessions import delete_run, purge

RUNS = 2_000
STEPS = 101
RUNS_OF_SESSION = 20
DIMENSION = 1024
OPENINGS = 3
PURGED = 100

_BOUND_S = 0.5


def save_many(database: Path, runs: int, *, with_vectors: bool = True) -> None:
    """Save so many finished runs, each of `STEPS` rows, in sessions of `RUNS_OF_SESSION`."""
    prepare(database)
    spec = RunSpec(steps=STEPS - 1)
    connection = connect(database)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO session (id, name, created, notes) VALUES (?, ?, ?, '')",
        ((key + 1, f"session {key + 1}", 1e9 + key) for key in range(math.ceil(runs / RUNS_OF_SESSION))),
    )
    connection.executemany(
        "INSERT INTO run (id, session_id, number, spec, init, target, loss_name, bundle, lr, steps, status,"
        " origin, device, seed, created, started, ended)"
        " VALUES (?, ?, ?, ?, ?, ?, 'ce', 'mini', 0.01, ?, 'finished', 'recorded', 'cpu', 0, ?, ?, ?)",
        (
            (
                run + 1,
                run // RUNS_OF_SESSION + 1,
                run % RUNS_OF_SESSION + 1,
                spec.model_dump_json(),
                str(spec.init),
                spec.target,
                spec.steps,
                *[1e9 + run] * 3,
            )
            for run in range(runs)
        ),
    )
    connection.executemany(
        "INSERT INTO step (run, step, loss, terms, similarity, grad_norm, z_norm, lr, elapsed_ms, decoded_z,"
        f" decoded_prediction, match, state_hash, token_losses) VALUES (?{', ?' * 13})",
        (_row(run, step) for run in range(1, runs + 1) for step in range(STEPS)),
    )
    for kind in ("z", "prediction"):
        connection.execute(
            "INSERT INTO decoded_text (run, step, kind, text)"
            f" SELECT run, step, ?, decoded_{kind} FROM step WHERE decoded_{kind} IS NOT NULL",
            (kind,),
        )
    if with_vectors:
        z = bytes(4 * DIMENSION)
        connection.executemany(
            "INSERT INTO vector VALUES (?, ?, 'z', ?, ?)",
            ((run, step, DIMENSION, z) for run in range(1, runs + 1) for step in range(STEPS)),
        )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _row(run: int, step: int) -> tuple[object, ...]:
    loss = 0.1 + 3.5 * math.exp(-step / 20)
    texts: tuple[object, ...] = (None, None, None)
    if step % 10 == 0:
        is_match = step >= 50
        texts = (
            f"One lot {step} of {run} is ready.",
            PUBLISHED_TARGET if is_match else f"I eat cheese {run} times, {step}.",
            is_match,
        )
    lr = None if step == STEPS - 1 else 0.01
    return run, step, loss, f'{{"ce": {loss}}}', 0.1, 1.0, 0.207, lr, 5.0, *texts, "0" * 16, "[0.1, 0.2]"


def measure_reading(database: Path, runs: int) -> Iterator[Measurement]:
    """What the threads behind the screen wait for."""
    with Reader(database) as reader:
        yield f"reading {runs:,} runs", _best_s(reader.runs), "s", _BOUND_S
        yield "reading the sessions", _best_s(reader.session_summaries), "s", _BOUND_S
        totals_s = _best_s(lambda: [reader.run_totals(run) for run in reader.newest_steps()])
        yield "summing sizes and losses of all runs", totals_s, "s", 5.0
        for query in ("dragon", "cheese", "o"):
            yield f"searching for {query}", _best_s(partial(search, reader, query)), "s", _BOUND_S


def measure_screen(database: Path, runs: int) -> Iterator[Measurement]:
    """From the key to the text."""
    to_list_s, to_sessions_s, to_totals_s = [], [], []
    for _ in range(OPENINGS):
        with Screen(database) as screen:
            screen.seconds_until("leave")  # the first paint, which waits for no database
            to_list_s.append(screen.seconds_until(f"{runs} runs, newest first"))
            screen.bytes_in(2.0)
            screen.send("B")
            to_sessions_s.append(screen.seconds_until(f"{runs} runs, last active first"))
            to_totals_s.append(to_sessions_s[-1] + screen.seconds_until("MiB"))
            screen.bytes_in(2.0)
            screen.send("q")
            screen.bytes_in(0.5)
    yield f"from the first paint to the list of {runs:,} runs", statistics.median(to_list_s), "s", _BOUND_S
    yield "from the key to the sessions", statistics.median(to_sessions_s), "s", _BOUND_S
    yield "… and to the first of their sizes", statistics.median(to_totals_s), "s", 5.0


def measure_purge(database: Path, runs: int) -> Iterator[Measurement]:
    """Deleting, and getting rid of what is deleted."""
    doomed = range(1, min(PURGED, runs) + 1)
    started = time.perf_counter()
    for run in doomed:
        delete_run(database, run)
    yield "deleting a run", (time.perf_counter() - started) / len(doomed), "s", _BOUND_S
    started = time.perf_counter()
    purged = purge(database, runs=doomed)
    yield f"removing {len(doomed)} runs for good", time.perf_counter() - started, "s", 10.0
    yield (
        "… left of a MiB that they took",
        1 - purged.freed_bytes / (4 * DIMENSION * STEPS * len(doomed)),
        "",
        0,
    )


def _best_s(read: Callable[[], object]) -> float:
    times_s = []
    for _ in range(OPENINGS):
        started = time.perf_counter()
        read()
        times_s.append(time.perf_counter() - started)
    return min(times_s)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each number beside its bound."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUNS", nargs="?", type=int, default=RUNS, help="(%(default)s)")
    runs = parser.parse_args(arguments).runs
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "many.db"
        save_many(database, runs)
        print(f"{runs:,} runs of {STEPS} steps: {database.stat().st_size / 2**20:.0f} MiB", flush=True)
        for measure in (measure_reading, measure_screen, measure_purge):
            for what, value, unit, bound in measure(database, runs):
                verdict = "holds" if value <= bound else f"misses by {value - bound:.3g} {unit}"
                print(f"{what}: {value:.3g} {unit} (bound {bound:g}): {verdict}", flush=True)


if __name__ == "__main__":
    main()
