"""Parquet: the CSV's table with types, for data frames."""

import json
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from engine.export.columns import COLUMNS, rows_of
from engine.export.rows import summary_object
from engine.store.reading import Reader
from engine.store.records import RunRecord

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = "sonar-explore"
"""Key of the file's metadata: a JSON array with the summary, the name and the spec of each run."""

_ROWS_IN_GROUP = 20_000


def write_parquet(reader: Reader, runs: Sequence[RunRecord], file: BinaryIO) -> None:
    """Write all rows of the runs as one table, in row groups of bounded size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = [summary_object(run) | {"name": run.name, "spec": json.loads(run.spec)} for run in runs]
    schema = _schema().with_metadata({METADATA_KEY: json.dumps(about)})
    with pq.ParquetWriter(file, schema) as writer:
        rows = (row for run in runs for row in rows_of(reader, run.id))
        while group := list(islice(rows, _ROWS_IN_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _schema() -> "pa.Schema":
    import pyarrow as pa

    special = {
        "run": pa.int64(),
        "step": pa.int64(),
        "decoded_z": pa.string(),
        "decoded_prediction": pa.string(),
        "match": pa.bool_(),
        "state_hash": pa.string(),
        "reread_prediction": pa.string(),
        "sentences": pa.list_(
            pa.struct([("text", pa.string()), ("ce", pa.float64()), ("match", pa.bool_())])
        ),
    }
    return pa.schema([(name, special.get(name, pa.float64())) for name in COLUMNS])
