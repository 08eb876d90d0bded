"""JSON lines: the objects of the command line's contract."""

from collections.abc import Iterator, Sequence

from engine.export.rows import json_line, step_object, summary_object, whole_rows
from engine.store.reading import Reader
from engine.store.records import RunRecord


def json_lines(reader: Reader, runs: Sequence[RunRecord]) -> Iterator[str]:
    """Every row of each run, and after them its summary."""
    for run in runs:
        for step, aside in whole_rows(reader, run.id):
            yield json_line(step_object(step, aside))
        yield json_line(summary_object(reader.run(run.id)))
