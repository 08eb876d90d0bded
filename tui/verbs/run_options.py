"""The options that describe a run, for every verb that queues one; and what they spell."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import UserError
from engine.objective import TERMS
from engine.optimizers import OPTIMIZERS
from engine.population.options import METHODS
from engine.texts import checked_text
from engine.vector_files import SUFFIXES
from tui.forms import Form
from tui.spelled import number_of, option_of

if TYPE_CHECKING:
    from engine.spec import RunSpec

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


@dataclass(frozen=True)
class RunOptions:
    """What can be said about any run that is queued: its options in the order of the help."""

    target: TargetOption = None
    forcing: ForcingOption = None
    before: BeforeOption = None
    between: ContextOption = None
    split_sentences: SplitOption = False
    source_lang: SourceLangOption = None
    target_lang: TargetLangOption = None
    loss: LossOption = None
    weight: WeightOption = None
    schedule: ScheduleOption = None
    option: ObjectiveOption = None
    method: MethodOption = None
    sentences: SentencesOption = None
    optimizer: OptimizerOption = None
    lr: LrOption = None
    clip: ClipOption = None
    steps: StepsOption = None
    norm: NormOption = None
    decode_every: DecodeEveryOption = None
    read_every: ReadEveryOption = None
    beam: BeamOption = None
    max_decoded_tokens: MaxDecodedTokensOption = None
    break_points: BreakPointsOption = None
    seed: SeedOption = None
    bundle: BundleOption = None
    device: DeviceOption = None
    dtype: DtypeOption = None
    encoder: EncoderOption = None
    compile: CompileOption = None
    vectors: VectorsOption = None
    measures: MeasuresOption = None
    session: SessionOption = None
    name: NameOption = None
    form: RowsOption = Form.TABLE
    detach: DetachOption = False

    def spec_fields(self, base: "RunSpec") -> dict[str, object]:
        """Of a spec's fields those that the command line gives.

        An empty value takes away what the base has, where a run can be without. Schedules and options are
        added to those of the base; a list of texts, or of weights, takes the place of the base's.

        Args:
            base: What is meant where the command line says nothing.

        Raises:
            UserError: what is given cannot be read: which, and what is allowed.
        """
        given = {name: getattr(self, name) for name in (*_NUMBERS, *_OTHERS)}
        fields: dict[str, object] = {
            name: None if value == "" and name in _NEED_NOT_BE else _spelled(name, value)
            for name, value in given.items()
            if value is not None
        }
        if self.target:
            language = base.target_lang if self.target_lang is None else self.target_lang
            first, *others = self._sentences("target", self.target, language)
            fields |= {"target": first, "continuation": tuple(others)}
        for name, texts in (("before", self.before), ("context", self.between)):
            if texts:
                language = base.source_lang if self.source_lang is None else self.source_lang
                is_none = texts == [""]
                fields[name] = () if is_none else tuple(self._sentences(name, texts, language))
        if (weights := weights_of(self.loss, self.weight)) is not None:
            fields["weights"] = weights
        if self.schedule:
            fields["schedules"] = schedules_of(self.schedule, base.schedules)
        if self.option:
            fields["options"] = options_of(self.option, base.options)
        if self.sentences is not None:
            given_options = fields.get("options", base.options)
            assert isinstance(given_options, Mapping)
            of_file = {
                "population.seeds": "sentences",
                "population.sentences": read_sentences(self.sentences),
            }
            fields["options"] = {**given_options, **of_file}
        return fields

    def _sentences(self, field: str, texts: Sequence[str], language: str | None) -> list[str]:
        """The texts, or their sentences; each is checked by itself where there are several."""
        sentences = list(texts)
        if self.split_sentences:
            from engine.sentences import split_sentences

            sentences = []
            for text in texts:
                sentences += split_sentences(text, language or "eng_Latn") or (text,)
        for number, sentence in enumerate(sentences, 1) if len(sentences) > 1 else ():
            try:
                checked_text(sentence)
            except ValueError as error:
                raise UserError(f"{field} {number}: {sentence[:40]!r}: {error}") from None
        return sentences

    def follow_or_print(self, database: Path, run_id: int) -> None:
        """Follow a run that was queued to its end, or only print its number."""
        if self.detach:
            typer.echo(run_id)
            return
        from tui.follow import follow

        raise typer.Exit(follow(database, run_id, self.form))


def takes_run_options(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb whose parameter `options` stands, on the command line, for all of `RunOptions`."""
    names = [field.name for field in fields(RunOptions)]

    @wraps(verb)
    def with_options(**given: object) -> None:
        options = RunOptions(**{name: given.pop(name) for name in names})  # type: ignore[arg-type]
        verb(options=options, **given)

    spread = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(RunOptions)
    ]
    signature = inspect.signature(verb)
    parameters: list[Parameter] = []
    for parameter in signature.parameters.values():
        is_spread = parameter.name == "options"
        parameters += spread if is_spread else [parameter.replace(kind=Parameter.KEYWORD_ONLY)]
    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_options


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
    if not weights:
        return None
    if weights == [""]:
        return {}
    given = _pairs("weight", weights, "TERM=NUMBER, for example ce=1")
    return {term: number_of(_only("weight", term, texts)) for term, texts in given.items()}


def schedules_of(given: Sequence[str], base: Mapping[str, str]) -> dict[str, str]:
    """What --schedule spells, beside the schedules that there are already; an empty one takes those away.

    Raises:
        UserError: one is given twice, or is written in no known way.
    """
    from engine.schedule import parse_schedule

    schedules = {} if "" in given else dict(base)
    pairs = _pairs("schedule", [one for one in given if one], "NAME=SCHEDULE, for example lr=cosine:0:100")
    for name, texts in pairs.items():
        text = _only("schedule", name, texts)
        try:
            schedules[name] = str(parse_schedule(text, of=name))
        except ValueError as error:
            raise UserError(f"schedule: {name}={text[:40]}: {error}") from None
    return schedules


def options_of(given: Sequence[str], base: Mapping[str, object]) -> dict[str, object]:
    """What --option spells, beside the options that there are already; an empty one takes those away.

    Raises:
        UserError: one that is no list of texts is given twice, or one is written in no known way.
    """
    from engine.options import OPTIONS

    options = {} if "" in given else dict(base)
    pairs = _pairs("option", [one for one in given if one], "NAME=VALUE, for example noise.copies=8")
    for name, texts in pairs.items():
        if name not in OPTIONS or not isinstance(OPTIONS[name].default, tuple):
            _only("option", name, texts)
        options[name] = option_of(name, texts)
    return options


def read_sentences(file: Path) -> list[str]:
    """The lines of a file that are not empty.

    Raises:
        UserError: it cannot be read, or there is none.
    """
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except OSError as error:
        raise UserError(f"sentences: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"sentences: {file} is no text (byte {error.start} is not UTF-8)") from None
    sentences = [line for line in lines if line]
    if not sentences:
        raise UserError(f"sentences: {file} has no line with a text")
    return sentences


def _pairs(option: str, given: Sequence[str], form: str) -> dict[str, list[str]]:
    """What stands behind each name, in the order of the command line."""
    pairs: dict[str, list[str]] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise UserError(f"{option}: {one!r}: should be {form}")
        pairs.setdefault(name, []).append(value)
    return pairs


def _only(option: str, name: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise UserError(f"{option}: {name} is given twice")
    return values[0]


_NUMBERS = ("lr", "steps", "norm", "decode_every", "beam", "max_decoded_tokens", "seed", "clip", "read_every")
"""Options that are called like the fields of a spec that they give, and spell numbers."""

_OTHERS = (
    "forcing",
    "source_lang",
    "target_lang",
    "method",
    "optimizer",
    "bundle",
    "device",
    "dtype",
    "encoder",
    "compile",
    "vectors",
    "measures",
)
"""Likewise, but for what they spell: texts, and yes or no."""

_NEED_NOT_BE = frozenset({"max_decoded_tokens", "clip", "source_lang", "target_lang"})
"""Fields that a run can be without."""


def _spelled(name: str, value: str) -> object:
    return number_of(value) if name in _NUMBERS else value


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
