"""CSV: one table of all rows, every text exactly as it was decoded."""

import csv
from collections.abc import Sequence
from typing import TextIO

from engine.export.columns import COLUMNS, rows_of
from engine.export.rows import json_line
from engine.store.reading import Reader
from engine.store.records import RunRecord


def write_csv(reader: Reader, runs: Sequence[RunRecord], file: TextIO) -> None:
    """Write all rows of the runs into an open file (opened with `newline=""`); `sentences` as JSON.

    It is data for programs: a spreadsheet may take a text that begins with `=`, `+`, `-` or `@` for a
    formula.
    """
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        for row in rows_of(reader, run.id):
            match = None if row["match"] is None else str(row["match"]).lower()
            sentences = None if row["sentences"] is None else json_line(row["sentences"])
            writer.writerow(row | {"match": match, "sentences": sentences})
