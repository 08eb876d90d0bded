"""The options that describe a run, for every verb that queues one, and the fields of a spec they give."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from engine.errors import UserError
from engine.texts import checked_text
from tui.forms import Form
from tui.spelled import number_of
from tui.verbs.option_types import (
    BeamOption,
    BeforeOption,
    BreakPointsOption,
    BundleOption,
    ClipOption,
    CompileOption,
    ContextOption,
    DecodeEveryOption,
    DetachOption,
    DeviceOption,
    DtypeOption,
    EncoderOption,
    ForcingOption,
    LossOption,
    LrOption,
    MaxDecodedTokensOption,
    MeasuresOption,
    MethodOption,
    NameOption,
    NormOption,
    ObjectiveOption,
    OptimizerOption,
    ReadEveryOption,
    RowsOption,
    ScheduleOption,
    SeedOption,
    SentencesOption,
    SessionOption,
    SourceLangOption,
    SplitOption,
    StepsOption,
    TargetLangOption,
    TargetOption,
    VectorsOption,
    WeightOption,
)
from tui.verbs.spelled_options import options_of, read_sentences, schedules_of, weights_of

if TYPE_CHECKING:
    from engine.spec import RunSpec


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
