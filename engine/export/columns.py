"""The columns of a trajectory in CSV and Parquet."""

from collections.abc import Iterator

from engine.export.rows import finite, step_object, whole_rows
from engine.measures import MEASURES
from engine.objective import TERMS
from engine.store.reading import Reader

COLUMNS = (
    "run",
    "step",
    "loss",
    *TERMS,
    "similarity",
    "lr",
    "grad_norm",
    "z_norm",
    "decoded_z",
    "decoded_prediction",
    "match",
    "elapsed_ms",
    "state_hash",
    *MEASURES,
    "reread_prediction",
    "sentences",
)


def rows_of(reader: Reader, run_id: int) -> Iterator[dict[str, object]]:
    """Every row of a run as an object with at least COLUMNS; what does not apply is None.

    `sentences` is a list of objects with text, ce and match.
    """
    for step, aside in whole_rows(reader, run_id):
        measures = {name: finite(step.measures.get(name)) for name in MEASURES}
        yield step_object(step, aside) | {"state_hash": step.state_hash} | measures
