"""A row of a trajectory opened: whole texts, the target's tokens with their losses, every number."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from engine.measures import MEASURES
from engine.store.records import Aside, EventRecord, RunRecord, StepRecord
from tui.numbers import MISSING, NOT_FINITE, loss_text, lr_text, measure_text, norm_text, similarity_text
from tui.text import safe_text
from tui.words import Span, changed_spans
from tui.wrapping import Line, Piece, flowed, indented, wrapped

NO_ASIDE = Aside()

WEAKEST = 3
"""Tokens that are marked as the weakest."""

_WEAK_SIGN = "▲"
_END = "</s>"
"""Ends the tokens of a target sentence."""

_SPACE = "▁"
"""How SentencePiece writes the space before a piece."""

_INDENT = 2
_GAP = 3
_TITLE_CELLS = 7
_WEIGHT_CHANGE = re.compile(r"(\w+) (\S+) → ([^\s,]+)")


@dataclass(frozen=True)
class OpenedRow:
    """What is shown of a row besides its tokens."""

    step: StepRecord

    decoded: StepRecord | None
    """The row itself where it was decoded, else the last one before it that was; None: there is none."""


@dataclass(frozen=True)
class TokenLosses:
    """Cross-entropy of each token of the target, in nats, teacher-forced."""

    losses: tuple[float | None, ...] = ()
    """None in place of one: not finite. Empty: there are none for the row."""

    pieces: tuple[str, ...] | None = None
    """The tokens as text; None where the bundle's tokenizer is not there."""

    notice: str = ""
    """Why something is missing."""

    aside: Aside = NO_ASIDE
    """What else the row says: each target sentence, and what is predicted from the text of z."""


def read_row(database: Path, run: int, step: int) -> OpenedRow:
    """Read a row; on a thread.

    Raises:
        UserError: there is no such row any more, or the database cannot be read.
    """
    from engine.errors import UserError
    from engine.store.reading import Reader

    with Reader(database) as reader:
        rows = reader.steps(run, after=step - 1, limit=1)
        if not rows or rows[0].step != step:
            raise UserError(f"run {run}: there is no row of step {step} any more")
        return OpenedRow(rows[0], reader.decoded_before(run, step))


def read_token_losses(database: Path, run: RunRecord, step: StepRecord) -> TokenLosses:
    """Read a row's token losses and what the tokens are; imports the tokenizer, so on a thread.

    Raises:
        UserError: the database cannot be read.
    """
    from engine.bundles import find_bundle
    from engine.errors import UserError
    from engine.store.reading import Reader
    from engine.tokens import target_pieces

    with Reader(database) as reader:
        losses = reader.token_losses(run.id, step.step)
        aside = reader.asides(run.id, step.step, step.step).get(step.step, NO_ASIDE)
    if not losses:
        return TokenLosses(notice=_why_none(run, step), aside=aside)
    pieces, notice = None, f"tokens are numbered: the tokenizer of {run.bundle} is not on disk"
    try:
        pieces = target_pieces(find_bundle(run.bundle), run.targets, json.loads(run.spec).get("target_lang"))
    except UserError as error:
        notice = f"tokens are numbered: {error}"
    if pieces is None:
        return TokenLosses(losses, notice=notice, aside=aside)
    if len(pieces) != len(losses):
        notice = f"tokens are numbered: the tokenizer of {run.bundle} has changed"
        return TokenLosses(losses, notice=notice, aside=aside)
    return TokenLosses(losses, tuple(pieces), aside=aside)


def row_lines(
    run: RunRecord,
    events: Iterable[EventRecord],
    row: OpenedRow,
    tokens: TokenLosses | None,
    width: int,
) -> list[Line]:
    """All that is known about a row, in lines of at most `width` cells.

    Args:
        run: The run, for its target and its objective.
        events: Those of the run, for the weights of its terms.
        row: The row.
        tokens: The target's tokens; None while they are being read.
        width: Cells a line.
    """
    inner = max(width - _INDENT, 1)
    return [
        *_texts(run, row, inner),
        *_aside(run, row.step, tokens.aside if tokens else NO_ASIDE, inner),
        [],
        *_tokens(tokens, inner),
        [],
        [("numbers", "heading")],
        *indented(flowed(_numbers(run, events, row.step), inner, _GAP), _INDENT),
        *_measures(row.step, inner),
    ]


def weights_at(run: RunRecord, events: Iterable[EventRecord], step: int) -> Mapping[str, float]:
    """The weights of the loss terms in a row: the spec's, as changed by the events up to there."""
    weights: dict[str, float] = dict(json.loads(run.spec)["weights"])
    for event in events:
        if event.kind == "weight" and (event.step or 0) <= step:
            weights |= {name: float(new) for name, _, new in _WEIGHT_CHANGE.findall(event.detail)}
    return weights


def marked(text: str, spans: Iterable[Span], tone: str = "") -> list[Piece]:
    """A text with some of it in the tone `changed`."""
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return [
        (text[first:end], tone if index % 2 == 0 else "changed")
        for index, (first, end) in enumerate(pairwise(edges))
        if first < end
    ]


def weakest(losses: Iterable[float | None]) -> frozenset[int]:
    """Indexes of the tokens with the highest losses: three at most, and only such as are above the mean."""
    known = [(loss, index) for index, loss in enumerate(losses) if loss is not None]
    mean = sum(loss for loss, _ in known) / max(len(known), 1)
    above = sorted(((loss, index) for loss, index in known if loss > mean), reverse=True)
    return frozenset(index for _, index in above[:WEAKEST])


def _texts(run: RunRecord, row: OpenedRow, width: int) -> list[Line]:
    decoded, when = row.decoded, ""
    if decoded is not None and decoded.step != row.step.step:
        when = f" of step {decoded.step}, the last decoded one"
    target = safe_text(" ".join(run.targets))
    if decoded is None or decoded.decoded_prediction is None:
        none: Line = [("not decoded, and no step before it", "quiet")]
        shown = [[("prediction", "heading")], *indented(wrapped(none, width), _INDENT)]
        return [*shown, [("target", "heading")], *indented(wrapped([(target, "")], width), _INDENT)]
    prediction, z = safe_text(decoded.decoded_prediction), safe_text(decoded.decoded_z or "")
    tone = "good" if decoded.match else ""
    added, missing = changed_spans(target, prediction), changed_spans(prediction, target)
    says = (
        "the target"
        if decoded.match
        else "marked: not in the target"
        if added
        else "lacks words" * bool(missing)
    )
    lacks = "marked: not in the prediction" if missing else ""
    sections = (
        ("prediction" + when, says, marked(prediction, added, tone)),
        ("target", lacks, marked(target, missing)),
        ("z" + when.partition(",")[0], "" if z else "decodes to nothing", [(z, "")]),
    )
    lines: list[Line] = []
    for title, note, pieces in sections:
        heading = [(title, "heading"), ("   " + note if note else "", "quiet")]
        lines += wrapped(heading, width + _INDENT)
        lines += indented(wrapped(pieces, width), _INDENT)
    return lines


def _aside(run: RunRecord, step: StepRecord, aside: Aside, width: int) -> list[Line]:
    """What is predicted from the text of z, and in the place of each of several target sentences."""
    lines: list[Line] = []
    if (said := aside.reread_prediction) is not None:
        target, said = safe_text(" ".join(run.targets)), safe_text(said)
        ce = step.measures.get("reread_ce")
        figures = "" if ce is None else f"   cross-entropy of the target {loss_text(ce)} nats a token"
        heading: Line = [("prediction from the text of z, encoded again", "heading"), (figures, "quiet")]
        tone = "good" if said.strip() == target.strip() else ""
        lines += wrapped(heading, width + _INDENT)
        lines += indented(wrapped(marked(said, changed_spans(target, said), tone), width), _INDENT)
    if aside.sentences:
        lines.append([("each target sentence, and what is predicted in its place", "heading")])
    for number, (target, each) in enumerate(zip(run.targets, aside.sentences, strict=False), 1):
        target, said = safe_text(target), safe_text(each.text)
        ce_text = NOT_FINITE if each.ce is None else loss_text(each.ce)
        figures = f"   {'✓' if each.match else '·'} cross-entropy {ce_text}"
        lines += indented(wrapped([(f"{number} {target}", ""), (figures, "quiet")], width), _INDENT)
        pieces = marked(said, changed_spans(target, said), "good" if each.match else "")
        lines += indented(wrapped([("  ", ""), *pieces], width), _INDENT)
    return lines


def _measures(step: StepRecord, width: int) -> list[Line]:
    """What is measured of the row, each number with what it is."""
    lines: list[Line] = []
    for name, measure in MEASURES.items():
        if name in step.measures:
            value = step.measures[name]
            text = f"{measure.title:<{_TITLE_CELLS}}{measure_text(value):>{_TITLE_CELLS}}  "
            first, *more = wrapped([(measure.description, "quiet")], max(width - len(text), 1))
            lines += [[(text, ""), *first], *indented(more, len(text))]
    return [[], [("measures", "heading")], *indented(lines, _INDENT)] if lines else []


def _tokens(tokens: TokenLosses | None, width: int) -> list[Line]:
    title: Line = [("cross-entropy of the target's tokens", "heading")]
    if tokens is None:
        return [*wrapped(title, width + _INDENT), *indented([[("reading …", "quiet")]], _INDENT)]
    known = [loss for loss in tokens.losses if loss is not None]
    if known:
        said = f"   mean {loss_text(sum(known) / len(known))} nats   {_WEAK_SIGN} the weakest"
        title.append((said, "quiet"))
    weak = weakest(tokens.losses)
    items = []
    for index, loss in enumerate(tokens.losses):
        name = str(index + 1) if tokens.pieces is None else _piece_text(tokens.pieces[index])
        value = NOT_FINITE if loss is None else f"{loss:z.3f}"
        is_bad = index in weak or loss is None
        sign = _WEAK_SIGN if index in weak else ""
        if index and tokens.pieces is not None and tokens.pieces[index - 1] == _END:
            items.append([("│", "quiet")])
        items.append([(sign + name, "bad" if is_bad else ""), (" " + value, "bad" if is_bad else "quiet")])
    notice = wrapped([(safe_text(tokens.notice), "quiet")], width) if tokens.notice else []
    return [*wrapped(title, width + _INDENT), *indented([*flowed(items, width, _GAP), *notice], _INDENT)]


def _piece_text(piece: str) -> str:
    return safe_text(_SPACE + piece[1:] if piece.startswith(" ") else piece)


def _numbers(run: RunRecord, events: Iterable[EventRecord], step: StepRecord) -> list[Line]:
    weights = weights_at(run, events, step.step)
    loss: Piece = (NOT_FINITE, "bad") if step.loss is None else (loss_text(step.loss), "")
    numbers: list[tuple[str, Piece]] = [("loss", loss)]
    for name, value in step.terms.items():
        weight = f" × {weights[name]:zg}" if name in weights else ""
        numbers.append((name, (loss_text(value) + weight, "")))
    numbers += [
        ("similarity", (similarity_text(step.similarity), "")),
        ("gradient norm", (norm_text(step.grad_norm), "")),
        ("|z|", (norm_text(step.z_norm), "")),
        ("lr", ("none, the last row" if step.lr is None else lr_text(step.lr), "")),
        ("time", (MISSING if step.elapsed_ms is None else f"{step.elapsed_ms:.1f} ms", "")),
        ("state", (safe_text(step.state_hash or MISSING), "")),
    ]
    return [[(name + " ", "quiet"), piece] for name, piece in numbers]


def _why_none(run: RunRecord, step: StepRecord) -> str:
    if run.origin != "recorded":
        return "the publication gives none"
    if "ce" not in step.terms and step.decoded_prediction is None:
        return "without the term ce, only rows that are decoded have them"
    return "not recorded with this row: an older version of the program made it"
