"""The forms in which verbs print."""

from enum import StrEnum


class Form(StrEnum):
    """How `run` and `show` print a trajectory."""

    TABLE = "table"
    JSONL = "jsonl"
    MARKDOWN = "markdown"


class ListForm(StrEnum):
    """How `list` prints runs."""

    TABLE = "table"
    JSONL = "jsonl"


class ConfigForm(StrEnum):
    """How `config` prints settings."""

    TABLE = "table"
    JSON = "json"
