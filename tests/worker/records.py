"""All that is stored of a run, to be compared bit for bit."""

import sqlite3
from pathlib import Path

_OF_THE_MOMENT = ("run", "elapsed_ms")
"""Columns in which two equal runs differ."""


def everything_stored(database: Path, run: int) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the trajectory with all its columns, every vector's bytes, every text that is searched."""
    connection = sqlite3.connect(database)
    columns = [
        name for (_, name, *_) in connection.execute("PRAGMA table_info(step)") if name not in _OF_THE_MOMENT
    ]
    queries = {
        "step": f"SELECT {', '.join(columns)} FROM step WHERE run = ? ORDER BY step",
        "vector": "SELECT step, kind, dimension, data FROM vector WHERE run = ? ORDER BY step, kind",
        "decoded_text": "SELECT step, kind, text FROM decoded_text WHERE run = ? ORDER BY step, kind",
    }
    stored = {table: connection.execute(sql, (run,)).fetchall() for table, sql in queries.items()}
    connection.close()
    return stored


def checkpoints(database: Path, run: int) -> list[int]:
    """The steps before which the run's state is kept."""
    connection = sqlite3.connect(database)
    steps = connection.execute("SELECT step FROM checkpoint WHERE run = ? ORDER BY step", (run,)).fetchall()
    connection.close()
    return [step for (step,) in steps]
