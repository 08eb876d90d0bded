"""Markdown, in the form of the published tables."""

import json
import re
from collections.abc import Iterator, Sequence

from engine.export.rows import NO_ASIDE, short_number, shown_steps, whole_rows
from engine.export.visible import visible
from engine.measures import MEASURES
from engine.store.reading import Reader
from engine.store.records import Aside, RunRecord, StepRecord

MARKDOWN_HEADER = (
    "| Step | Loss | Sim | Decoded z | Decoded Prediction |",
    "|-----:|-----:|----:|-----------|-------------------|",
)

_PUBLISHED_TERM_NAMES = {"ce": "Decoder CE", "cosine": "Cosine", "mse": "MSE"}


def markdown_lines(reader: Reader, runs: Sequence[RunRecord]) -> Iterator[str]:
    """A table for each run, under its title; target and init once above those that share them.

    What was measured of a run's decoded rows follows in a table of its own.
    """
    texts_above = None
    for run in runs:
        if texts_above is not None:
            yield ""
        target = " ".join(run.targets)
        texts = f'**Target**: "{markdown_cell(target)}" **Init**: "{markdown_cell(run.init)}"'
        if texts != texts_above:
            yield from (texts, "")
        texts_above = texts
        yield from (markdown_title(run), "", *MARKDOWN_HEADER)
        yield from map(markdown_row, shown_steps(reader.all_steps(run.id)))
        yield from _measured_lines(reader, run)


def _measured_lines(reader: Reader, run: RunRecord) -> Iterator[str]:
    """A table of what was measured of the run's decoded rows; nothing where nothing was."""
    names: Sequence[str] = ()
    for step, aside in whole_rows(reader, run.id):
        if not step.measures and aside == NO_ASIDE:
            continue
        if not names:
            names = list(MEASURES)
            titles = [MEASURES[name].title for name in names]
            yield from ("", "#### Measures", "")
            yield f"| Step | {' | '.join(titles)} | Said from z's text | Sentences |"
            yield f"|-----:|{'---:|' * len(names)}---|---|"
        numbers = [short_number(step.measures.get(name)) for name in names]
        said = markdown_cell(aside.reread_prediction or "")
        yield f"| {step.step} | {' | '.join(numbers)} | {said} | {_sentences_cell(aside)} |"


def _sentences_cell(aside: Aside) -> str:
    """What is said in the place of each target sentence, with its cross-entropy."""
    return " / ".join(
        f"{'✓ ' * each.match}{markdown_cell(each.text)} ({short_number(each.ce) or 'not finite'})"
        for each in aside.sentences
    )


def markdown_title(run: RunRecord) -> str:
    """The title over a table, in the published form: `### Decoder CE Loss (lr=0.01, steps=100)`."""
    spec = json.loads(run.spec)
    terms = " + ".join(
        f"{'' if weight == 1 else f'{weight:g} '}{_PUBLISHED_TERM_NAMES.get(name, name)}"
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
