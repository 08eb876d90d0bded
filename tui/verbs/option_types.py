"""How each option of a run is written on the command line, and what the help says of it."""

from pathlib import Path
from typing import Annotated

import typer

from engine.objective import TERMS
from engine.optimizers import OPTIMIZERS
from engine.population.options import METHODS
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
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        rich_help_panel=_WHAT,
        help="Sentence to be said next (Once upon a time, there was a little girl named Lily.); "
        "again for each sentence to be said after it.",
    ),
]

ForcingOption = Annotated[
    str | None,
    typer.Option(
        metavar="teacher|free",
        rich_help_panel=_WHAT,
        help="What stands before each further target: the true one before it, or what was predicted "
        "(teacher).",
    ),
]

BeforeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        rich_help_panel=_WHAT,
        help="Fixed sentence before z (none); again for each further one.",
    ),
]

ContextOption = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="TEXT",
        rich_help_panel=_WHAT,
        help="Fixed sentence between z and the prediction (none); again for each further one.",
    ),
]

SplitOption = Annotated[
    bool,
    typer.Option(
        "--split-sentences",
        rich_help_panel=_WHAT,
        help="Split the texts of --target, --before and --context into their sentences, by the rules of "
        "their languages (--target-lang, --source-lang).",
    ),
]

SourceLangOption = Annotated[
    str | None,
    typer.Option(
        metavar="LANG",
        rich_help_panel=_WHAT,
        help="Language in which texts are encoded, as in deu_Latn (the bundle's own).",
    ),
]

TargetLangOption = Annotated[
    str | None,
    typer.Option(
        metavar="LANG",
        rich_help_panel=_WHAT,
        help="Language in which embeddings are decoded (the bundle's own).",
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
        help="Loss: a weighted sum instead; once for each term, as in --weight ce=1 --weight cosine=0.1. "
        "`objectives` lists the terms.",
    ),
]

ScheduleOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=SCHEDULE",
        rich_help_panel=_WHAT,
        help="How lr, or the weight of a term, goes on from its value (constant), as in lr=cosine:0:100 or "
        "fluency=linear:0.5:50; once for each. `objectives` lists the forms.",
    ),
]

ObjectiveOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        rich_help_panel=_WHAT,
        help="Option of a term, a constraint, an optimiser or a method, as in noise.copies=8; once for each, "
        "one of texts once for each text. `objectives` lists them with their defaults.",
    ),
]

MethodOption = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(METHODS),
        rich_help_panel=_HOW,
        help="How z is sought: gradient descent on one z, or generations of texts of which the best are "
        "kept; each row of those is decoded (gradient).",
    ),
]

SentencesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_HOW,
        help="Begin a population search with the sentences of a file, one a line.",
    ),
]

OptimizerOption = Annotated[
    str | None,
    typer.Option(metavar="|".join(OPTIMIZERS), rich_help_panel=_HOW, help="Optimiser (adam)."),
]

LrOption = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", rich_help_panel=_HOW, help="Learning rate (0.01)."),
]

ClipOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER",
        rich_help_panel=_HOW,
        help="Largest norm of the gradient; a longer one is scaled to it (any).",
    ),
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

ReadEveryOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER",
        rich_help_panel=_HOW,
        help="Where a term needs the text of z itself: read it at every multiple of this step (10).",
    ),
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
    typer.Option(metavar="NAME", rich_help_panel=_WHERE, help="Model bundle (mini); `bundles` lists them."),
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

EncoderOption = Annotated[
    str | None,
    typer.Option(
        metavar="device|cpu",
        rich_help_panel=_WHERE,
        help="Where the encoder is kept; on the CPU it takes no memory of a card (device).",
    ),
]

CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        rich_help_panel=_WHERE,
        show_default=False,
        help="Have torch compile the models' part of a step, most of a minute for each new shape: for long "
        "sweeps (--no-compile).",
    ),
]

VectorsOption = Annotated[
    str | None,
    typer.Option(
        metavar="every|decoded|ends", rich_help_panel=_RECORD, help="Steps for which z is kept (every)."
    ),
]

MeasuresOption = Annotated[
    str | None,
    typer.Option(
        metavar="all|quick|none",
        rich_help_panel=_RECORD,
        help="What is measured of decoded rows: all; only what needs no further pass through the models; "
        "nothing (all).",
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
