"""The columns of a trajectory in CSV and Parquet."""

from collections.abc import Iterator

from engine.export.rows import step_object
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
)


def rows_of(reader: Reader, run_id: int) -> Iterator[dict[str, object]]:
    """Every row of a run as an object with at least COLUMNS; what does not apply is None."""
    for step in reader.all_steps(run_id):
        yield step_object(step) | {"state_hash": step.state_hash}
