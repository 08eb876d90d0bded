"""A row of a trajectory opened: whole texts, the target's tokens with their losses, every number."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from engine.store.records import EventRecord, RunRecord, StepRecord
from tui.numbers import MISSING, NOT_FINITE, loss_text, lr_text, norm_text, similarity_text
from tui.text import safe_text
from tui.trajectory import Row, Trajectory
from tui.words import Span, changed_spans
from tui.wrapping import Line, Piece, flowed, indented, wrapped

WEAKEST = 3
"""Tokens that are marked as the weakest."""

_WEAK_SIGN = "▲"
_SPACE = "▁"
"""How SentencePiece writes the space before a piece."""

_INDENT = 2
_GAP = 3
_WEIGHT_CHANGE = re.compile(r"(\w+) (\S+) → ([^\s,]+)")


@dataclass(frozen=True)
class TokenLosses:
    """Cross-entropy of each token of the target, in nats, teacher-forced."""

    losses: tuple[float | None, ...] = ()
    """None in place of one: not finite. Empty: there are none for the row."""

    pieces: tuple[str, ...] | None = None
    """The tokens as text; None where the bundle's tokenizer is not there."""

    notice: str = ""
    """Why something is missing."""


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
    if not losses:
        return TokenLosses(notice=_why_none(run, step))
    try:
        pieces = target_pieces(find_bundle(run.bundle), run.target)
    except UserError as error:
        return TokenLosses(losses, notice=f"tokens are numbered: {error}")
    if pieces is None:
        return TokenLosses(
            losses, notice=f"tokens are numbered: the tokenizer of {run.bundle} is not on disk"
        )
    if len(pieces) != len(losses):
        return TokenLosses(losses, notice=f"tokens are numbered: the tokenizer of {run.bundle} has changed")
    return TokenLosses(losses, tuple(pieces))


def row_lines(
    run: RunRecord, trajectory: Trajectory, step: StepRecord, tokens: TokenLosses | None, width: int
) -> list[Line]:
    """All that is known about a row, in lines of at most `width` cells.

    Args:
        run: The run, for its target and its objective.
        trajectory: The rows around it.
        step: The row.
        tokens: The target's tokens; None while they are being read.
        width: Cells a line.
    """
    inner = max(width - _INDENT, 1)
    return [
        *_texts(run, trajectory, step, inner),
        [],
        *_tokens(tokens, inner),
        [],
        [("numbers", "heading")],
        *indented(flowed(_numbers(run, trajectory.rows, step), inner, _GAP), _INDENT),
    ]


def weights_at(run: RunRecord, rows: Iterable[Row], step: int) -> Mapping[str, float]:
    """The weights of the loss terms in a row: the spec's, as changed by the events up to there."""
    weights: dict[str, float] = dict(json.loads(run.spec)["weights"])
    for row in rows:
        if isinstance(row, EventRecord) and row.kind == "weight" and (row.step or 0) <= step:
            weights |= {name: float(new) for name, _, new in _WEIGHT_CHANGE.findall(row.detail)}
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


def _texts(run: RunRecord, trajectory: Trajectory, step: StepRecord, width: int) -> list[Line]:
    decoded: StepRecord | None = step
    when = ""
    if step.decoded_prediction is None:
        index = trajectory.index_of(step.step)
        decoded = None if index is None else trajectory.decoded_before(index)
        when = f" of step {decoded.step}, the last decoded one" if decoded else ""
    target = safe_text(run.target)
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
        value = NOT_FINITE if loss is None else f"{loss:.3f}"
        is_bad = index in weak or loss is None
        sign = _WEAK_SIGN if index in weak else ""
        items.append([(sign + name, "bad" if is_bad else ""), (" " + value, "bad" if is_bad else "quiet")])
    notice = wrapped([(safe_text(tokens.notice), "quiet")], width) if tokens.notice else []
    return [*wrapped(title, width + _INDENT), *indented([*flowed(items, width, _GAP), *notice], _INDENT)]


def _piece_text(piece: str) -> str:
    return safe_text(_SPACE + piece[1:] if piece.startswith(" ") else piece)


def _numbers(run: RunRecord, rows: Iterable[Row], step: StepRecord) -> list[Line]:
    weights = weights_at(run, rows, step.step)
    loss: Piece = (NOT_FINITE, "bad") if step.loss is None else (loss_text(step.loss), "")
    numbers: list[tuple[str, Piece]] = [("loss", loss)]
    for name, value in step.terms.items():
        weight = f" × {weights[name]:g}" if name in weights else ""
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
