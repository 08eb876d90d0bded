"""The options that describe a run, for every verb that queues one; and what they spell."""

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from engine.objective import TERMS
from engine.vector_files import SUFFIXES
from tui.forms import Form

_WHAT, _HOW, _WHERE, _RECORD = "What", "How", "With", "Record"

InitOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", rich_help_panel=_WHAT, help="Sentence to start from (I like cheese.)."),
]

InitRandomOption = Annotated[
    str | None,
    typer.Option(metavar="SEED", rich_help_panel=_WHAT, help="Start from a random direction instead."),
]

InitVectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="RUN:STEP|FILE",
        rich_help_panel=_WHAT,
        help="Start from a stored z of this database instead, or from a vector in a file: NAME.npy, "
        "NAME.safetensors, or NAME.safetensors:TENSOR.",
    ),
]

TargetOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        rich_help_panel=_WHAT,
        help="Sentence to be said next (Once upon a time, there was a little girl named Lily.).",
    ),
]

LossOption = Annotated[
    str | None,
    typer.Option(metavar="|".join(TERMS), rich_help_panel=_WHAT, help="Loss: one term alone (ce)."),
]

WeightOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TERM=WEIGHT",
        rich_help_panel=_WHAT,
        help="Loss: a weighted sum instead; once for each term, as in --weight ce=1 --weight cosine=0.1.",
    ),
]

LrOption = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Learning rate of Adam (0.01)."),
]

StepsOption = Annotated[
    str | None, typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Number of updates (100).")
]

NormOption = Annotated[
    str | None,
    typer.Option(
        metavar="initial|free|NUMBER",
        rich_help_panel=_HOW,
        help="Norm of z: held to the initial one (initial), free, or held to a number.",
    ),
]

DecodeEveryOption = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Decode at every multiple of this step (10)."),
]

BeamOption = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Beam size for decoding; 1 is greedy (5)."),
]

MaxDecodedTokensOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER",
        rich_help_panel=_HOW,
        help="Longest decoded text (three times the target's tokens).",
    ),
]

BreakPointsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--break",
        metavar="CONDITION",
        rich_help_panel=_HOW,
        help="Pause when this comes true: changed, match, not-finite, or a bound as in 'loss<0.2'; "
        "may be given several times.",
    ),
]

SeedOption = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Seed of the random generators (0)."),
]

BundleOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", rich_help_panel=_WHERE, help="Model bundle (mini); `doctor` lists them."),
]

DeviceOption = Annotated[
    str | None,
    typer.Option(metavar="auto|cpu|cuda|cuda:N", rich_help_panel=_WHERE, help="Where to compute (auto)."),
]

DtypeOption = Annotated[
    str | None,
    typer.Option(
        metavar="float32|bfloat16",
        rich_help_panel=_WHERE,
        help="Precision of the models' weights (float32).",
    ),
]

VectorsOption = Annotated[
    str | None,
    typer.Option(
        metavar="every|decoded|ends", rich_help_panel=_RECORD, help="Steps for which z is kept (every)."
    ),
]

SessionOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", rich_help_panel=_RECORD, help="Session to put the run into (today's date)."),
]

NameOption = Annotated[
    str | None, typer.Option(metavar="NAME", rich_help_panel=_RECORD, help="Name of the run.")
]

RowsOption = Annotated[
    Form, typer.Option("--format", rich_help_panel=_RECORD, help="How the rows are printed.")
]

DetachOption = Annotated[
    bool,
    typer.Option("--detach", rich_help_panel=_RECORD, help="Only queue the run; its number is printed."),
]


def given_fields(**fields: object) -> dict[str, object]:
    """Of a spec's fields those that the command line gives."""
    return {field: value for field, value in fields.items() if value is not None}


def follow_or_print(database: Path, run_id: int, form: Form, *, detach: bool) -> None:
    """Follow a run that was queued to its end, or only print its number."""
    if detach:
        typer.echo(run_id)
        return
    from tui.follow import follow

    raise typer.Exit(follow(database, run_id, form))


def initial_of(text: str | None, seed: str | None, vector: str | None) -> dict[str, object] | None:
    """What --init, --init-random and --init-vector spell; None when none of them is given.

    Raises:
        UserError: more than one is given, or a vector is named in no known way.
    """
    given = [option is not None for option in (text, seed, vector)]
    if sum(given) > 1:
        raise UserError("init: --init, --init-random and --init-vector exclude one another")
    if text is not None:
        return {"kind": "text", "text": text}
    if seed is not None:
        return {"kind": "random", "seed": number_of(seed)}
    return None if vector is None else _vector(vector)


def weights_of(loss: str | None, weights: list[str] | None) -> dict[str, object] | None:
    """What --loss and --weight spell; None when none of them is given.

    Raises:
        UserError: both are given, or a weight is written in no known way.
    """
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
        parsed[term] = number_of(number)
    return parsed or None


def number_of(text: str | None) -> object:
    """The number that a text spells; any other text as it is, for the spec to accept or to refuse."""
    for kind in (int, float):
        try:
            return None if text is None else kind(text)
        except ValueError:
            continue
    return text


def _vector(text: str) -> dict[str, object]:
    run_id, colon, step = text.partition(":")
    is_row = run_id.isdigit() and step.isdigit()
    if not is_row and any(suffix in text.lower() for suffix in SUFFIXES):
        return {"kind": "file", "file": text}
    if not colon:
        raise UserError(
            f"init-vector: {text!r}: should be RUN:STEP, for example 7:100, or a file, "
            f"{' or '.join(f'NAME{suffix}' for suffix in SUFFIXES)}"
        )
    return {"kind": "vector", "run": number_of(run_id), "step": number_of(step)}
