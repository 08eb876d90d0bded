"""`run`: queue a run and follow it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import UserError
from engine.objective import TERMS
from tui.forms import Form
from tui.verbs.arguments import DatabaseOption, chosen_bundle, chosen_database

if TYPE_CHECKING:
    from engine.spec import RunSpec

_WHAT, _HOW, _WHERE, _RECORD = "What", "How", "With", "Record"


def run(
    context: typer.Context,
    init: Annotated[
        str | None,
        typer.Option(metavar="TEXT", rich_help_panel=_WHAT, help="Sentence to start from (I like cheese.)."),
    ] = None,
    init_random: Annotated[
        str | None,
        typer.Option(metavar="SEED", rich_help_panel=_WHAT, help="Start from a random direction instead."),
    ] = None,
    init_vector: Annotated[
        str | None,
        typer.Option(
            metavar="RUN:STEP", rich_help_panel=_WHAT, help="Start from a stored z of this database instead."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=_WHAT,
            help="Sentence to be said next (Once upon a time, there was a little girl named Lily.).",
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(metavar="|".join(TERMS), rich_help_panel=_WHAT, help="Loss: one term alone (ce)."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TERM=WEIGHT",
            rich_help_panel=_WHAT,
            help="Loss: a weighted sum instead; once for each term, as in --weight ce=1 --weight cosine=0.1.",
        ),
    ] = None,
    lr: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Learning rate of Adam (0.01)."),
    ] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Number of updates (100).")
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(
            metavar="initial|free|NUMBER",
            rich_help_panel=_HOW,
            help="Norm of z: held to the initial one (initial), free, or held to a number.",
        ),
    ] = None,
    decode_every: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", rich_help_panel=_HOW, help="Decode at every multiple of this step (10)."
        ),
    ] = None,
    beam: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Beam size for decoding; 1 is greedy (5)."),
    ] = None,
    max_decoded_tokens: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=_HOW,
            help="Longest decoded text (three times the target's tokens).",
        ),
    ] = None,
    break_points: Annotated[
        list[str] | None,
        typer.Option(
            "--break",
            metavar="CONDITION",
            rich_help_panel=_HOW,
            help="Pause when this comes true: changed, match, not-finite, or a bound as in 'loss<0.2'; "
            "may be given several times.",
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Seed of the random generators (0)."),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_WHERE, help="Model bundle (mini); `doctor` lists them."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="auto|cpu|cuda|cuda:N", rich_help_panel=_WHERE, help="Where to compute (auto)."),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="float32|bfloat16",
            rich_help_panel=_WHERE,
            help="Precision of the models' weights (float32).",
        ),
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option(
            metavar="every|decoded|ends", rich_help_panel=_RECORD, help="Steps for which z is kept (every)."
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_RECORD, help="Session to put the run into (today's date)."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=_RECORD, help="Name of the run.")
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", rich_help_panel=_RECORD, help="How the rows are printed.")
    ] = Form.TABLE,
    detach: Annotated[
        bool,
        typer.Option("--detach", rich_help_panel=_RECORD, help="Only queue the run; its number is printed."),
    ] = False,
    db: DatabaseOption = None,
) -> None:
    """Queue a run and follow it. Without options: the published experiment on the embedded models.

    Values in parentheses are the defaults. Ctrl-C leaves the run going.
    """
    fields = {
        "init": _initial(init, init_random, init_vector),
        "target": target,
        "weights": _weights(loss, weight),
        "lr": _number(lr),
        "steps": _number(steps),
        "norm": _number(norm),
        "decode_every": _number(decode_every),
        "beam": _number(beam),
        "max_decoded_tokens": _number(max_decoded_tokens),
        "seed": _number(seed),
        "bundle": chosen_bundle(bundle),
        "device": device,
        "dtype": dtype,
        "vectors": vectors,
    }
    database = chosen_database(context, db)
    run_id = _queue(database, _parse(fields), session, name, break_points or ())
    if detach:
        typer.echo(run_id)
        return
    from tui.follow import follow

    raise typer.Exit(follow(database, run_id, form))


def _parse(fields: dict[str, object]) -> "RunSpec":
    from engine.spec import parse_spec

    return parse_spec(**{field: value for field, value in fields.items() if value is not None})


def _queue(
    database: Path, spec: "RunSpec", session: str | None, name: str | None, break_points: Sequence[str]
) -> int:
    from engine.control import queue_run

    run_id = queue_run(database, spec, session=session, name=name, break_points=break_points)
    print(f"run {run_id}: queued in {database}", file=sys.stderr)
    return run_id


def _initial(text: str | None, seed: str | None, vector: str | None) -> dict[str, object] | None:
    given = [option is not None for option in (text, seed, vector)]
    if sum(given) > 1:
        raise UserError("init: --init, --init-random and --init-vector exclude one another")
    if text is not None:
        return {"kind": "text", "text": text}
    if seed is not None:
        return {"kind": "random", "seed": _number(seed)}
    if vector is not None:
        run_id, colon, step = vector.partition(":")
        if not colon:
            raise UserError(f"init-vector: {vector!r}: should be RUN:STEP, for example 7:100")
        return {"kind": "vector", "run": _number(run_id), "step": _number(step)}
    return None


def _weights(loss: str | None, weights: list[str] | None) -> dict[str, object] | None:
    if loss is not None:
        if weights:
            raise UserError("loss: --loss and --weight exclude one another")
        if loss not in TERMS:
            raise UserError(f"loss: {loss!r}: there are {', '.join(TERMS)}")
        return {loss: 1.0}
    parsed: dict[str, object] = {}
    for weight in weights or ():
        term, equals, number = weight.partition("=")
        if not equals:
            raise UserError(f"weight: {weight!r}: should be TERM=NUMBER, for example ce=1")
        if term in parsed:
            raise UserError(f"weight: {term} is given twice")
        parsed[term] = _number(number)
    return parsed or None


def _number(text: str | None) -> object:
    """The number that a text spells; any other text as it is, for the spec to accept or to refuse."""
    for kind in (int, float):
        try:
            return None if text is None else kind(text)
        except ValueError:
            continue
    return text
