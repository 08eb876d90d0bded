"""Runs as files: markdown in the published tables' form, CSV, JSON lines, safetensors.

The same objects serve `run --format jsonl`, `show` and `export`, so a script meets one form everywhere.
"""

import csv
import json
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from engine.errors import UserError
from engine.objective import TERMS
from engine.store.reading import Reader
from engine.store.records import RunRecord, StepRecord

MARKDOWN_HEADER = (
    "| Step | Loss | Sim | Decoded z | Decoded Prediction |",
    "|-----:|-----:|----:|-----------|-------------------|",
)

_PUBLISHED_TERM_NAMES = {"ce": "Decoder CE", "cosine": "Cosine", "mse": "MSE"}

_CSV_COLUMNS = (
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


class Format(StrEnum):
    """What `export` can write."""

    MARKDOWN = "markdown"
    CSV = "csv"
    JSONL = "jsonl"
    SAFETENSORS = "safetensors"


_SUFFIXES = {
    ".md": Format.MARKDOWN,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".safetensors": Format.SAFETENSORS,
}


def format_of(path: Path) -> Format:
    """The format that a file's name asks for.

    Raises:
        UserError: the name ends in none of the known suffixes.
    """
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_SUFFIXES)
        raise UserError(f"to: {path}: the name should end in one of {known}, or name a --format") from None


def step_object(step: StepRecord) -> dict[str, object]:
    """A row of a trajectory as the command line's contract names it; what does not apply is None.

    `ce`, `cosine` and `mse` are the values of the loss terms before their weights, and None for a term that
    was not part of the loss. The term `cosine` is minus the similarity: a loss falls as it gets better.
    """
    return {
        "type": "step",
        "run": step.run,
        "step": step.step,
        "loss": _finite(step.loss),
        **{name: _finite(step.terms.get(name)) for name in TERMS},
        "similarity": _finite(step.similarity),
        "lr": _finite(step.lr),
        "grad_norm": _finite(step.grad_norm),
        "z_norm": _finite(step.z_norm),
        "decoded_z": step.decoded_z,
        "decoded_prediction": step.decoded_prediction,
        "match": step.match,
        "elapsed_ms": _finite(step.elapsed_ms),
    }


def summary_object(run: RunRecord) -> dict[str, object]:
    """What became of a run, as the command line's contract names it.

    `steps` are the updates asked for; loss and similarity are those of the newest row, `match` and
    `decoded_prediction` those of the newest decoded row.
    """
    return {
        "type": "summary",
        "run": run.id,
        "session": run.session,
        "status": str(run.status),
        "steps": run.steps,
        "loss": _finite(run.loss),
        "similarity": _finite(run.similarity),
        "match": run.match,
        "first_match_step": run.first_match_step,
        "decoded_prediction": run.decoded_prediction,
    }


def json_line(values: Mapping[str, object]) -> str:
    """One line of JSON in plain ASCII: no control character of a decoded text survives in it."""
    return json.dumps(values, ensure_ascii=True, allow_nan=False)


def markdown_title(run: RunRecord) -> str:
    """The title over a table, in the published form: `### Decoder CE Loss (lr=0.01, steps=100)`."""
    spec = json.loads(run.spec)
    terms = " + ".join(
        _PUBLISHED_TERM_NAMES[name] if weight == 1 else f"{weight:g} {_PUBLISHED_TERM_NAMES[name]}"
        for name, weight in spec["weights"].items()
        if weight
    )
    return f"### {terms} Loss (lr={spec['lr']:g}, steps={run.steps})"


def markdown_row(step: StepRecord) -> str:
    """One row of a table in the published form."""
    loss, similarity = short_number(step.loss), short_number(step.similarity)
    texts = markdown_cell(step.decoded_z or ""), markdown_cell(step.decoded_prediction or "")
    return f"| {step.step} | {loss} | {similarity} | {texts[0]} | {texts[1]} |"


def markdown_cell(text: str) -> str:
    """A text that stays inside its cell and means nothing to a renderer: no column, line, tag or image.

    Characters that end a cell or begin code, a link, an image, HTML or an entity are escaped with a
    backslash. Line breaks, control and invisible characters become visible stand-ins.
    """
    visible = "".join(map(_visible, text))
    return re.sub(r"[\\|<`\[]|&(?=#?\w+;)", r"\\\g<0>", visible)


def short_number(value: float | None) -> str:
    """Three decimals as in the published tables; more where three would show nothing but zeros."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.2e}"


def is_decoded(step: StepRecord) -> bool:
    """Whether a row holds decoded texts."""
    return step.decoded_z is not None or step.decoded_prediction is not None


def shown_steps(steps: Iterable[StepRecord]) -> Iterator[StepRecord]:
    """The rows that a table shows: every decoded one, and the last one as well."""
    newest = None
    for step in steps:
        newest = step
        if is_decoded(step):
            yield step
    if newest is not None and not is_decoded(newest):
        yield newest


def write_text(reader: Reader, run_ids: Sequence[int], kind: Format, file: TextIO) -> None:
    """Write runs as text into an open file (opened with `newline=""`).

    CSV holds every text exactly as it was decoded. It is data for programs: a spreadsheet may take a text
    that begins with `=`, `+`, `-` or `@` for a formula.

    Raises:
        UserError: there is no such run, or the format is a binary one.
    """
    runs = [reader.run(run_id) for run_id in dict.fromkeys(run_ids)]
    if kind is Format.MARKDOWN:
        file.writelines(f"{line}\n" for line in _markdown_lines(reader, runs))
    elif kind is Format.CSV:
        _write_csv(reader, runs, file)
    elif kind is Format.JSONL:
        file.writelines(f"{line}\n" for line in _json_lines(reader, runs))
    else:
        raise UserError(f"format: {kind} is binary; it can only be written to a file")


def write_vectors(reader: Reader, run_ids: Sequence[int], file: BinaryIO) -> None:
    """Write the kept vectors of runs as safetensors.

    For run 7: `run_7.z` (S, D) float32 with `run_7.z_steps` (S,) int64, the same for `prediction`, and for
    `init` and `target`. The metadata holds each run's session, name, target and spec (JSON).

    Raises:
        UserError: there is no such run, or a run has no vectors.
    """
    from safetensors.numpy import save

    tensors: dict[str, np.ndarray] = {}
    metadata: dict[str, str] = {}
    for run in [reader.run(run_id) for run_id in dict.fromkeys(run_ids)]:
        kept = {kind: list(reader.vectors(run.id, kind)) for kind in ("z", "prediction", "init", "target")}
        if not any(kept.values()):
            raise UserError(f"run: run {run.id} has no vectors to export")
        for kind, vectors in kept.items():
            if vectors:
                tensors[f"run_{run.id}.{kind}"] = np.stack([vector for _, vector in vectors])
                tensors[f"run_{run.id}.{kind}_steps"] = np.array(
                    [step for step, _ in vectors], dtype=np.int64
                )
        description = {"session": run.session, "name": run.name, "target": run.target}
        metadata[f"run_{run.id}"] = json.dumps(description | {"spec": json.loads(run.spec)})
    file.write(save(tensors, metadata))


def write_file(
    reader: Reader, run_ids: Sequence[int], path: Path, kind: Format, *, force: bool = False
) -> None:
    """Write runs into a file: into a temporary one beside it, which takes its name when it is whole.

    Raises:
        UserError: the file is there already and `force` is not given, it is the database itself or no
            ordinary file, it cannot be written, or a run cannot be exported. Nothing is left behind.
    """
    path = path.resolve()
    if path.exists():
        if not path.is_file():
            raise UserError(f"to: {path}: is not an ordinary file")
        if path.samefile(reader.path):
            raise UserError(f"to: {path}: is the database itself")
        if not force:
            raise UserError(f"to: {path}: is there already; --force overwrites it")
    with _written_whole(path) as temporary:
        if kind is Format.SAFETENSORS:
            with temporary.open("xb") as binary:
                write_vectors(reader, run_ids, binary)
        else:
            with temporary.open("x", encoding="utf-8", newline="") as text:
                write_text(reader, run_ids, kind, text)


VECTOR_SUFFIXES = (".npy", ".safetensors")
"""What the name of a file for one vector may end in."""


def write_z(reader: Reader, run_id: int, step: int, path: Path) -> int:
    """Write the z of one row, float32 (D,), into a new file: NumPy's `.npy`, or `.safetensors` as tensor `z`.

    Returns:
        D.

    Raises:
        UserError: the name ends in something else, the file is there already or cannot be written, or that
            z was not kept. Nothing is left behind.
    """
    suffix = path.suffix.lower()
    if suffix not in VECTOR_SUFFIXES:
        raise UserError(f"to: {path}: the name should end in one of {', '.join(VECTOR_SUFFIXES)}")
    z = reader.vector(run_id, step, "z")
    if z is None:
        raise UserError(f"step: the z of step {step} of run {run_id} was not kept")
    path = path.resolve()
    if path.exists():
        raise UserError(f"to: {path}: is there already; give another name")
    with _written_whole(path) as temporary:
        if suffix == ".npy":
            with temporary.open("xb") as file:
                np.save(file, z, allow_pickle=False)
        else:
            from safetensors.numpy import save

            run = reader.run(run_id)
            temporary.write_bytes(save({"z": z}, {"run": str(run_id), "step": str(step), "spec": run.spec}))
    return len(z)


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its name when it is whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"to: {path}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _markdown_lines(reader: Reader, runs: Sequence[RunRecord]) -> Iterator[str]:
    texts_above = None
    for run in runs:
        if texts_above is not None:
            yield ""
        texts = f'**Target**: "{markdown_cell(run.target)}" **Init**: "{markdown_cell(run.init)}"'
        if texts != texts_above:
            yield from (texts, "")
        texts_above = texts
        yield from (markdown_title(run), "", *MARKDOWN_HEADER)
        yield from map(markdown_row, shown_steps(reader.all_steps(run.id)))


def _write_csv(reader: Reader, runs: Sequence[RunRecord], file: TextIO) -> None:
    writer = csv.DictWriter(file, _CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        for step in reader.all_steps(run.id):
            match = None if step.match is None else str(step.match).lower()
            writer.writerow(step_object(step) | {"match": match, "state_hash": step.state_hash})


def _json_lines(reader: Reader, runs: Sequence[RunRecord]) -> Iterator[str]:
    for run in runs:
        for step in reader.all_steps(run.id):
            yield json_line(step_object(step))
        yield json_line(summary_object(reader.run(run.id)))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _visible(character: str) -> str:
    """The character, or a stand-in for one that would be invisible or break the line."""
    code, category = ord(character), unicodedata.category(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if category in ("Zl", "Zp"):
        return "\N{SYMBOL FOR LINE FEED}"
    if category[0] == "C" and character != "\N{ZERO WIDTH JOINER}":
        return "\N{REPLACEMENT CHARACTER}"
    return character
