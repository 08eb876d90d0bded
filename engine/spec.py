"""RunSpec: what a run optimises, validated before anything is queued."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine.errors import UserError
from engine.objective import TERMS
from engine.objective.option import Value
from engine.optimizers import OPTIMIZERS
from engine.options import OPTIONS, check_option
from engine.population.rules import misfit
from engine.schedule import Constant, parse_schedule
from engine.texts import checked_text

PUBLISHED_INIT = "I like cheese."
PUBLISHED_TARGET = "Once upon a time, there was a little girl named Lily."

DECODED_LENGTH_FACTOR = 3
"""A decoded text has at most so many times the tokens of the longest target sentence, unless it is set."""

MAX_SENTENCES = 64
"""Most sentences of a context or a continuation."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TextInit(_Strict):
    """Start from encode(text)."""

    kind: Literal["text"] = "text"
    text: str

    @field_validator("text")
    @classmethod
    def _is_a_sentence(cls, text: str) -> str:
        return checked_text(text)

    def __str__(self) -> str:
        return self.text


class RandomInit(_Strict):
    """Start from a random direction, at the mean norm of the bundle's embeddings."""

    kind: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, lt=2**63)

    def __str__(self) -> str:
        return f"random direction, seed {self.seed}"


class VectorInit(_Strict):
    """Start from a z that is stored in the same database."""

    kind: Literal["vector"] = "vector"
    run: int = Field(ge=1)
    step: int = Field(ge=0)

    def __str__(self) -> str:
        return f"z of run {self.run}, step {self.step}"


class FileInit(_Strict):
    """Start from a z that a file holds; it is read when the run is queued, and stored with it."""

    kind: Literal["file"] = "file"
    file: str
    """`FILE.npy`, `FILE.safetensors` or `FILE.safetensors:TENSOR` (engine.vector_files)."""

    @field_validator("file")
    @classmethod
    def _is_a_name(cls, file: str) -> str:
        if not file.strip():
            raise ValueError("empty; the name of a file is needed")
        return checked_text(file.strip())

    def __str__(self) -> str:
        return f"vector of {self.file}"


Init = Annotated[TextInit | RandomInit | VectorInit | FileInit, Field(discriminator="kind")]


class RunSpec(_Strict):
    """One optimisation of one z. The defaults are the published experiment on the embedded models."""

    init: Init = TextInit(text=PUBLISHED_INIT)
    """Where z starts."""

    method: Literal["gradient", "population"] = "gradient"
    """How z is sought: by gradient descent on one z, or by a population of texts (engine.population), whose
    steps are generations."""

    target: str = PUBLISHED_TARGET
    """The sentence that the predicted embedding should decode to."""

    continuation: tuple[str, ...] = Field(default=(), max_length=MAX_SENTENCES)
    """Target sentences after it, each of which should be predicted after the one before."""

    forcing: Literal["teacher", "free"] = "teacher"
    """What stands before each sentence of the continuation: the true one before it (teacher forcing), or the
    predicted embedding, through which the gradient goes (free running)."""

    before: tuple[str, ...] = Field(default=(), max_length=MAX_SENTENCES)
    """Fixed sentences before z."""

    context: tuple[str, ...] = Field(default=(), max_length=MAX_SENTENCES)
    """Fixed sentences between z and the prediction."""

    source_lang: str | None = Field(default=None, min_length=1, max_length=20)
    """Language in which texts are encoded, as the bundle's tokenizer names it; None: the bundle's own."""

    target_lang: str | None = Field(default=None, min_length=1, max_length=20)
    """Language in which embeddings are decoded, likewise."""

    weights: dict[str, float] = Field(default_factory=lambda: {"ce": 1.0})
    """Weight of each loss term; the loss is the weighted sum. Names are those of engine.objective.TERMS."""

    schedules: dict[str, str] = Field(default_factory=dict)
    """How `lr`, or the weight of a term by its name, goes on from its value (engine.schedule)."""

    options: dict[str, int | float | str | tuple[str, ...]] = Field(default_factory=dict)
    """Options of terms and constraints by their full names (engine.objective.OPTIONS), where they are not the
    defaults."""

    read_every: int = Field(default=10, ge=1, le=10_000_000)
    """Where something needs the text of z itself: it is decoded and encoded again at every multiple of this
    step."""

    lr: float = Field(default=0.01, gt=0, le=1000)
    """Learning rate; may be changed while the run goes on."""

    steps: int = Field(default=100, ge=1, le=10_000_000)
    """Number of updates; the trajectory has one row more."""

    optimizer: str = "adam"
    """Name of the optimiser (engine.optimizers.OPTIMIZERS)."""

    clip: float | None = Field(default=None, gt=0, le=1e6)
    """Largest norm of the gradient, to which a longer one is scaled; None: any."""

    norm: Literal["initial", "free"] | float = "initial"
    """L2 norm of the effective z: held to the initial one, free, or held to a number."""

    decode_every: int = Field(default=10, ge=1, le=10_000_000)
    """Decode z and the prediction at every multiple of this step, and at the last one. Every row of a
    population search is decoded."""

    beam: int = Field(default=5, ge=1, le=20)
    """Beam size for decoding; 1 is greedy."""

    max_decoded_tokens: int | None = Field(default=None, ge=1, le=512)
    """Longest decoded text in tokens; None: DECODED_LENGTH_FACTOR times the longest target sentence's."""

    bundle: str = Field(default="mini", min_length=1, max_length=100)
    """Name of the model bundle (engine.bundles)."""

    device: str = "auto"
    """`auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or `cuda:N`."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the models' weights; z, loss and optimiser are always float32."""

    encoder: Literal["device", "cpu"] = "device"
    """Where the encoder is kept: on the device, or on the CPU, where it takes no memory of a card; it is only
    needed for init, target and texts that are read again."""

    compile: bool = False
    """Whether the models' part of a step is compiled by torch, which takes most of a minute for each new
    shape of it: for long sweeps."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the run's random generators."""

    measures: Literal["all", "quick", "none"] = "all"
    """What is measured of decoded rows: all; only what needs no further pass through the models; nothing."""

    vectors: Literal["every", "decoded", "ends"] = "every"
    """For which steps z is kept."""

    @field_validator("target")
    @classmethod
    def _target_is_a_sentence(cls, target: str) -> str:
        return checked_text(target)

    @field_validator("continuation", "before", "context")
    @classmethod
    def _are_sentences(cls, sentences: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_text(sentence) for sentence in sentences)

    @field_validator("weights")
    @classmethod
    def _weights_name_terms(cls, weights: dict[str, float]) -> dict[str, float]:
        for name, weight in weights.items():
            if name not in TERMS:
                raise ValueError(f"no loss term {name!r}; there are {', '.join(TERMS)}")
            if weight < 0:
                raise ValueError(f"{name}={weight:g}; a weight is 0 or more")
        return weights

    @field_validator("options", mode="before")
    @classmethod
    def _options_are_known(cls, options: object) -> object:
        if not isinstance(options, Mapping):
            return options
        checked = {name: check_option(name, value) for name, value in options.items()}
        return {name: value for name, value in checked.items() if value != OPTIONS[name].default}

    @field_validator("optimizer")
    @classmethod
    def _optimizer_is_known(cls, optimizer: str) -> str:
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"there are {', '.join(OPTIMIZERS)}")
        return optimizer

    @field_validator("schedules")
    @classmethod
    def _schedules_are_known(cls, schedules: dict[str, str]) -> dict[str, str]:
        for name in schedules:
            if name != "lr" and name not in TERMS:
                raise ValueError(f"no schedule of {name!r}; there are those of lr, {', '.join(TERMS)}")
        parsed = {name: parse_schedule(text, of=name) for name, text in schedules.items()}
        return {
            name: str(schedule) for name, schedule in parsed.items() if not isinstance(schedule, Constant)
        }

    @model_validator(mode="after")
    def _something_is_optimised(self) -> Self:
        if not any(self.weights.values()) and not any(name in TERMS for name in self.schedules):
            raise ValueError("weights: at least one loss term needs a weight above 0")
        return self

    @model_validator(mode="after")
    def _fits_its_method(self) -> Self:
        if reason := misfit(self):
            raise ValueError(reason)
        return self

    @field_validator("norm", mode="before")
    @classmethod
    def _norm_is_a_length_or_a_rule(cls, norm: object) -> object:
        if norm in ("initial", "free"):
            return norm
        if isinstance(norm, (int, float)) and not isinstance(norm, bool) and 0 < norm <= 1e6:
            return float(norm)
        raise ValueError("allowed are initial, free, or a number above 0")

    @field_validator("device")
    @classmethod
    def _device_has_a_known_form(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", device):
            raise ValueError("allowed are auto, cpu, cuda, cuda:N")
        return device

    @property
    def loss_name(self) -> str:
        """The objective in a few characters: `ce`, or `ce + 0.1 cosine`."""
        terms = [(name, weight) for name, weight in self.weights.items() if weight]
        return " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in terms)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The target sentences in their order."""
        return (self.target, *self.continuation)

    @property
    def terms(self) -> tuple[str, ...]:
        """The loss terms that have a weight, or may get one by a schedule."""
        return tuple(name for name in TERMS if self.weights.get(name) or name in self.schedules)

    def number(self, name: str) -> float:
        """The value of an option that is a number, by its full name."""
        value = self.option(name)
        if not isinstance(value, (int, float)):
            raise TypeError(f"{name} is no number")
        return value

    def lr_at(self, step: int) -> float:
        """The learning rate of an update, as far as it follows from the step: not what a plateau has made."""
        return self._scheduled("lr", self.lr, step)

    def weights_at(self, step: int) -> dict[str, float]:
        """The weight of each term in a row."""
        return {name: self._scheduled(name, self.weights.get(name, 0.0), step) for name in self.terms}

    def _scheduled(self, name: str, base: float, step: int) -> float:
        text = self.schedules.get(name)
        return base if text is None else parse_schedule(text, of=name).value(base, step)

    def option(self, name: str) -> Value:
        """The value of an option, by its full name."""
        return self.options.get(name, OPTIONS[name].default)

    def decodes(self, step: int) -> bool:
        """Whether the texts of this step are decoded."""
        return self.method == "population" or step % self.decode_every == 0 or step == self.steps

    def keeps_vector(self, step: int) -> bool:
        """Whether z of this step is kept."""
        if self.vectors == "ends":
            return step in (0, self.steps)
        return self.vectors == "every" or self.decodes(step)


def parse_spec(**fields: object) -> RunSpec:
    """Build a RunSpec from untrusted fields.

    Raises:
        UserError: one line that names each wrong field, its value and what is allowed.
    """
    try:
        return RunSpec.model_validate(fields)
    except ValidationError as error:
        raise UserError(explain(error)) from None


def with_changes(spec: RunSpec, **fields: object) -> RunSpec:
    """The spec with some fields changed.

    Raises:
        UserError: as `parse_spec`.
    """
    return parse_spec(**{**spec.model_dump(), **fields})


def steered(
    spec: RunSpec,
    step: int,
    *,
    lr: float | None = None,
    weights: Mapping[str, float] | None = None,
    schedules: Mapping[str, str] | None = None,
) -> RunSpec:
    """The spec after something has been set before a step: from then on, as if it had always been so.

    A number ends the schedule of what it is set for. A schedule begins at the step, from the value of then.

    Raises:
        UserError: an unknown term, a weight below 0 or not finite, no term is left, or no schedule.
    """
    kept = {name: text for name, text in spec.schedules.items() if name not in (weights or {})}
    if lr is not None:
        kept.pop("lr", None)
    base_lr = spec.lr if lr is None else lr
    base_weights = {**spec.weights, **(weights or {})}
    for name, text in (schedules or {}).items():
        try:
            schedule = parse_schedule(text, of=name).starting_at(step)
        except ValueError as error:
            raise UserError(f"schedules.{name}: {text[:60]!r}: {error}") from None
        if name == "lr" and lr is None:
            base_lr = spec.lr_at(step) or base_lr
        elif name in TERMS and name not in (weights or {}):
            base_weights[name] = spec.weights_at(step).get(name, 0.0)
        kept[name] = str(schedule)
    merged = with_changes(spec, lr=base_lr, weights=base_weights, schedules=kept)
    scheduled = merged.schedules
    return with_changes(
        merged,
        weights={term: weight for term, weight in merged.weights.items() if weight or term in scheduled},
    )


def explain(error: ValidationError) -> str:
    """Put a validation error into one line: `lr: -1: should be greater than 0`."""
    return "; ".join(dict.fromkeys(_explain_one(dict(detail)) for detail in error.errors()))


def check_lr(lr: float) -> float:
    """Return a learning rate that may be set mid-run, or raise a UserError."""
    if not (math.isfinite(lr) and 0 < lr <= 1000):
        raise UserError(f"lr: {lr:g}: a learning rate is above 0 and at most 1000")
    return lr


def _explain_one(detail: dict[str, object]) -> str:
    location = detail["loc"] if isinstance(detail["loc"], tuple) else ()
    tags = ("text", "random", "vector", "file")  # pydantic puts the kind of init into the path
    field = ".".join(
        str(part) for i, part in enumerate(location) if not (i == 1 and part in tags and len(location) > 2)
    )
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ").partition(", unable")[0]
    if not location:  # a rule about several fields, which names them itself
        return message
    value = detail.get("input")
    shown = "" if isinstance(value, (dict, BaseModel)) else f"{_shortened(value)}: "
    return f"{field}: {shown}{message}"


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
