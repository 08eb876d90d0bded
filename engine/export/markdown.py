"""Markdown, in the form of the published tables."""

import json
import re
from collections.abc import Iterator, Sequence

from engine.export.rows import short_number, shown_steps
from engine.export.visible import visible
from engine.store.reading import Reader
from engine.store.records import RunRecord, StepRecord

MARKDOWN_HEADER = (
    "| Step | Loss | Sim | Decoded z | Decoded Prediction |",
    "|-----:|-----:|----:|-----------|-------------------|",
)

_PUBLISHED_TERM_NAMES = {"ce": "Decoder CE", "cosine": "Cosine", "mse": "MSE"}


def markdown_lines(reader: Reader, runs: Sequence[RunRecord]) -> Iterator[str]:
    """A table for each run, under its title; target and init once above those that share them."""
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
    return re.sub(r"[\\|<`\[]|&(?=#?\w+;)", r"\\\g<0>", visible(text))
