"""Runs as files: markdown in the published tables' form, CSV, JSON lines, Parquet, HTML, safetensors.

The same objects serve `run --format jsonl`, `show` and `export`, so a script meets one form everywhere.
"""

from engine.export.files import Format, format_of, runs_of_session, write_file, write_text
from engine.export.markdown import MARKDOWN_HEADER, markdown_cell, markdown_row, markdown_title
from engine.export.rows import (
    is_decoded,
    json_line,
    short_number,
    shown_steps,
    step_line,
    step_object,
    summary_object,
)
from engine.export.vectors import write_z

__all__ = [
    "MARKDOWN_HEADER",
    "Format",
    "format_of",
    "is_decoded",
    "json_line",
    "markdown_cell",
    "markdown_row",
    "markdown_title",
    "runs_of_session",
    "short_number",
    "shown_steps",
    "step_line",
    "step_object",
    "summary_object",
    "write_file",
    "write_text",
    "write_z",
]
