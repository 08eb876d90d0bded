"""What `export` can write, and writing it: whole or not at all."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, TextIO

from engine.errors import UserError
from engine.export.csv_table import write_csv
from engine.export.jsonl import json_lines
from engine.export.markdown import markdown_lines
from engine.export.whole import check_new, written_whole
from engine.store.reading import Reader
from engine.store.records import RunRecord


class Format(StrEnum):
    """What `export` can write."""

    MARKDOWN = "markdown"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    HTML = "html"
    SAFETENSORS = "safetensors"


SUFFIXES: Mapping[str, Format] = {
    ".md": Format.MARKDOWN,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".parquet": Format.PARQUET,
    ".html": Format.HTML,
    ".safetensors": Format.SAFETENSORS,
}
"""What the name of a file says about its format."""


def format_of(path: Path) -> Format:
    """The format that a file's name asks for.

    Raises:
        UserError: the name ends in none of the known suffixes.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise UserError(f"to: {path}: the name should end in one of {known}, or name a --format") from None


def runs_of_session(reader: Reader, session: str) -> list[int]:
    """Ids of the runs of a session.

    Raises:
        UserError: there is no such session, or it has no runs.
    """
    if session not in (record.name for record in reader.sessions()):
        raise UserError(f"session: there is no session {session!r} in {reader.path}")
    if not (runs := [run.id for run in reader.runs(session)]):
        raise UserError(f"session: {session!r} has no runs")
    return runs


def write_text(reader: Reader, run_ids: Sequence[int], kind: Format, file: TextIO) -> None:
    """Write runs as text into an open file (opened with `newline=""`).

    Raises:
        UserError: there is no such run, or the format is a binary one.
    """
    runs = _runs(reader, run_ids)
    if kind in _BINARY_WRITERS:
        raise UserError(f"format: {kind} is binary; it can only be written to a file")
    _TEXT_WRITERS[kind](reader, runs, file)


def write_file(
    reader: Reader, run_ids: Sequence[int], path: Path, kind: Format, *, force: bool = False
) -> None:
    """Write runs into a file: into a temporary one beside it, which takes its name when it is whole.

    Raises:
        UserError: the file is there already and `force` is not given, it is the database itself or no
            ordinary file, it cannot be written, or a run cannot be exported. Nothing is left behind.
    """
    path = check_new(path, reader.path, force=force)
    with written_whole(path) as temporary:
        if kind in _BINARY_WRITERS:
            with temporary.open("xb") as binary:
                _BINARY_WRITERS[kind](reader, _runs(reader, run_ids), binary)
        else:
            with temporary.open("x", encoding="utf-8", newline="") as text:
                write_text(reader, run_ids, kind, text)


def _runs(reader: Reader, run_ids: Sequence[int]) -> list[RunRecord]:
    return [reader.run(run_id) for run_id in dict.fromkeys(run_ids)]


def _write_markdown(reader: Reader, runs: Sequence[RunRecord], file: TextIO) -> None:
    file.writelines(f"{line}\n" for line in markdown_lines(reader, runs))


def _write_jsonl(reader: Reader, runs: Sequence[RunRecord], file: TextIO) -> None:
    file.writelines(f"{line}\n" for line in json_lines(reader, runs))


def _write_html(reader: Reader, runs: Sequence[RunRecord], file: TextIO) -> None:
    from engine.export.report import write_report

    write_report(reader, runs, file)


def _write_parquet(reader: Reader, runs: Sequence[RunRecord], file: BinaryIO) -> None:
    from engine.export.parquet import write_parquet

    write_parquet(reader, runs, file)


def _write_vectors(reader: Reader, runs: Sequence[RunRecord], file: BinaryIO) -> None:
    from engine.export.vectors import write_vectors

    write_vectors(reader, runs, file)


_TEXT_WRITERS: Mapping[Format, Callable[[Reader, Sequence[RunRecord], TextIO], None]] = {
    Format.MARKDOWN: _write_markdown,
    Format.CSV: write_csv,
    Format.JSONL: _write_jsonl,
    Format.HTML: _write_html,
}

_BINARY_WRITERS: Mapping[Format, Callable[[Reader, Sequence[RunRecord], BinaryIO], None]] = {
    Format.PARQUET: _write_parquet,
    Format.SAFETENSORS: _write_vectors,
}
