"""What stands in a session file."""

from collections.abc import Mapping
from dataclasses import dataclass

FORMAT = "sonar-explore session"

VERSION = 1
"""Version of the file's own layout; the tables in it have the schema that the manifest names."""

FIRST_SCHEMA = "0003"
"""The schema of the first files."""

MANIFEST = "manifest.json"

SUFFIX = ".zip"
"""What the names of session files end in, where the program makes them up."""

RUN_TABLES: Mapping[str, str] = {
    "step": "run, step",
    "vector": "run, step, kind",
    "decoded_text": "id",
    "event": "id",
    "break_point": "id",
    "command": "id",
    "task": "id",
    "checkpoint": "run, step",
}
"""Tables whose rows belong to a run (column `run`), and the order in which their rows stand in the file."""

BYTES_TABLES = ("vector", "checkpoint")
"""Tables with bytes (column `data`): their objects say how many there are."""

TABLES = ("session", "run", *RUN_TABLES)

MEMBERS = (*(f"{table}.jsonl" for table in TABLES), *(f"{table}.bin" for table in BYTES_TABLES))
"""Everything in the archive beside the manifest."""


@dataclass(frozen=True)
class Member:
    """What the manifest says about a part of the archive."""

    size: int
    """Bytes"""
    sha256: str
