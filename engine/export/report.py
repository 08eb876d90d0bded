"""One self-contained HTML file about runs: charts, rows, spec, events, environment, the command.

It holds no script, and forbids all of them (Content-Security-Policy). Whatever a model said is escaped, and
what would be invisible in it is made visible.
"""

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, TextIO

from engine import __version__
from engine.command_line import command_line
from engine.export.charts import HEIGHT, WIDTH, Chart, Curve, Mark, chart
from engine.export.rows import is_decoded, short_number
from engine.export.visible import visible
from engine.gap import GapGroup, all_gap_rows, folded, headline
from engine.measures import MEASURES
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.records import EventRecord, RunRecord, StepRecord

if TYPE_CHECKING:
    from jinja2 import Template

MOST_ROWS = 200
"""Rows of a run that its table shows at most."""

MOST_GAP_ROWS = 30
"""Rows of the gap table at most."""

MOST_EVENTS = 200
"""Events of a run that are listed at most."""

_MOST_CHARACTERS = 600
_MOST_LINES = 8
"""Curves that one chart tells apart."""

_ORDINARY = frozenset({"created", "started", "finished", "imported", "verified"})
"""Kinds of events that change nothing about the run: the charts do not mark them."""


@dataclass(frozen=True)
class _Section:
    """What the report says about one run."""

    run: RunRecord
    title: str
    facts: Mapping[str, str]
    charts: Sequence[Chart]
    rows: Sequence[StepRecord]
    row_count: int
    left_out: str
    gap: Sequence[GapGroup]
    gap_headline: str
    gap_left_out: int
    events: Sequence[EventRecord]
    events_left_out: int
    spec: Mapping[str, str]
    command: str
    is_command_exact: bool
    """Nothing in it has to be shown by stand-ins."""
    loss: Curve
    similarity: Curve


def write_report(reader: Reader, runs: Sequence[RunRecord], file: TextIO) -> None:
    """Write the report; of long trajectories a part of the rows, and it says which."""
    sections = [_section(reader, run) for run in runs]
    style = files("engine.export").joinpath("templates/report.css").read_text(encoding="utf-8").strip()
    overview = () if len(runs) == 1 else _overview(sections)
    stream = _template().stream(
        title=sections[0].title if len(runs) == 1 else f"{len(runs)} runs",
        style=style,
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        sections=sections,
        overview=overview,
        made=_moment(time.time()),
        version=__version__,
        width=WIDTH,
        height=HEIGHT,
    )
    file.writelines(stream)


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("engine.export"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=_shown, shown_whole=visible, number=short_number, moment=_moment)
    return environment.get_template("report.html")


def _section(reader: Reader, run: RunRecord) -> _Section:
    spec = RunSpec.model_validate_json(run.spec)
    steps = list(reader.all_steps(run.id))
    events = reader.events(run.id)
    rows = _shown_rows(steps)
    command = command_line(spec)
    groups = list(folded(all_gap_rows(reader, run)))
    gap_headline = headline(run, groups[-1].newest if groups else None)
    gap = _evenly_with_last(groups, MOST_GAP_ROWS)
    if all(group.newest.reread_prediction is None for group in groups):
        gap, groups = [], []
    loss = Curve(_label(run), [(step.step, step.loss) for step in steps])
    similarity = Curve(_label(run), [(step.step, step.similarity) for step in steps])
    return _Section(
        run,
        _title(run),
        _facts(run),
        _charts(steps, _marks(events), loss, similarity),
        rows,
        len(steps),
        _left_out(steps, rows),
        gap,
        gap_headline,
        len(groups) - len(gap),
        events[:MOST_EVENTS],
        max(0, len(events) - MOST_EVENTS),
        {name: _value(value) for name, value in spec.model_dump().items()},
        command,
        visible(command) == command,
        loss,
        similarity,
    )


def _overview(sections: Sequence[_Section]) -> list[Chart]:
    """Charts of all runs together, in which as many are drawn as can be told apart."""
    drawn = sections[:_MOST_LINES]
    charts = (
        chart("Loss", [section.loss for section in drawn]),
        chart("Similarity", [section.similarity for section in drawn]),
    )
    return [each for each in charts if each is not None]


def _charts(
    steps: Sequence[StepRecord], marks: Sequence[Mark], loss: Curve, similarity: Curve
) -> list[Chart]:
    terms = list(dict.fromkeys(name for step in (*steps[:1], *steps[-1:]) for name in step.terms))
    of_terms = [Curve(name, [(step.step, step.terms.get(name)) for step in steps]) for name in terms]
    rates = Curve("lr", [(step.step, step.lr) for step in steps if step.lr is not None])
    charts = [
        chart("Loss", [loss], marks),
        chart("Terms of the loss, before their weights", of_terms, marks) if len(terms) > 1 else None,
        chart("Similarity: cosine of the prediction and encode(target)", [similarity], marks),
        chart("Learning rate", [rates], marks) if len({rate for _, rate in rates.points}) > 1 else None,
        chart("Gradient norm", [Curve("|grad|", [(step.step, step.grad_norm) for step in steps])], marks),
        *(
            chart(
                f"{measure.title}: {measure.description}",
                [Curve(name, [(step.step, step.measures.get(name)) for step in steps if step.measures])],
                marks,
            )
            for name, measure in MEASURES.items()
            if any(name in step.measures for step in steps)
        ),
    ]
    return [each for each in charts if each is not None]


def _marks(events: Sequence[EventRecord]) -> list[Mark]:
    return [
        Mark(number, event.step, visible(f"step {event.step}: {event.kind} {event.detail}".strip()))
        for number, event in enumerate(events[:MOST_EVENTS], start=1)
        if event.step is not None and event.kind not in _ORDINARY
    ]


def _shown_rows(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Decoded rows and the last one; where they are too many, changes of text first, then evenly spaced."""
    decoded = [number for number, step in enumerate(steps) if is_decoded(step)]
    wanted = sorted({*decoded, *([len(steps) - 1] if steps else [])})
    if len(wanted) <= MOST_ROWS:
        return [steps[number] for number in wanted]
    changes = [
        number
        for before, number in pairwise(decoded)
        if steps[number].decoded_prediction != steps[before].decoded_prediction
    ]
    ends = {wanted[0], wanted[-1]}
    kept = ends | set(_evenly(changes, MOST_ROWS // 2))
    others = [number for number in wanted if number not in kept]
    kept |= set(_evenly(others, MOST_ROWS - len(kept)))
    return [steps[number] for number in sorted(kept)]


def _evenly(numbers: Sequence[int], count: int) -> list[int]:
    """At most `count` of them, evenly spaced."""
    if len(numbers) <= count:
        return list(numbers)
    return [numbers[place * len(numbers) // count] for place in range(count)]


def _evenly_with_last(groups: Sequence[GapGroup], count: int) -> list[GapGroup]:
    """At most `count` of them, evenly spaced, the last one among them."""
    if len(groups) <= count:
        return list(groups)
    return [groups[place * (len(groups) - 1) // (count - 1)] for place in range(count)]


def _left_out(steps: Sequence[StepRecord], rows: Sequence[StepRecord]) -> str:
    if len(rows) == len(steps):
        return "Every row."
    which = "those that were decoded, and the last"
    if len(rows) == MOST_ROWS:
        which = (
            f"the first and the last, of {sum(map(is_decoded, steps)):,} decoded ones those at which the "
            "prediction changes, and some between, evenly spaced"
        )
    return f"{len(rows):,} of {len(steps):,} rows: {which}."


def _facts(run: RunRecord) -> dict[str, str]:
    is_match = {True: "equals the target", False: "is not the target", None: "was not decoded"}[run.match]
    facts = {
        "Start": run.init,
        "Target": " ".join(run.targets),
        "Objective": run.loss_name,
        "Status": str(run.status) + (f": {run.error}" if run.error else ""),
        "Last prediction": f"{run.decoded_prediction or ''} ({is_match})".strip(),
        "First match": "none" if run.first_match_step is None else f"step {run.first_match_step}",
        "Steps": f"{run.last_step if run.last_step is not None else 0:,} of {run.steps:,}",
        "Last loss": short_number(run.loss),
        "Last similarity": short_number(run.similarity),
        "Models": run.bundle + (f" (weights {run.bundle_digest})" if run.bundle_digest else ""),
        "Device": run.device,
    }
    if run.parent_run is not None:
        facts["Goes on from"] = f"run {run.parent_run}, step {run.parent_step}"
    if run.started is not None:
        facts["Started"] = _moment(run.started)
    if run.ended is not None:
        facts["Ended"] = _moment(run.ended)
    if run.origin != "recorded":
        facts["Origin"] = f"{run.origin}: typed in, never run by this program"
    return {name: value for name, value in facts.items() if value}


def _title(run: RunRecord) -> str:
    return f"{_label(run)} {run.name}" if run.name else _label(run)


def _label(run: RunRecord) -> str:
    return f"{run.session}/{run.number}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _shown(text: str | None) -> str:
    """A text as it is shown: nothing invisible in it, and not without end."""
    if text is None:
        return ""
    cut = text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS]
    return visible(cut) + (f" … ({len(text):,} characters)" if len(text) > _MOST_CHARACTERS else "")
