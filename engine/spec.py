"""RunSpec: what a run optimises, validated before anything is queued."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine.errors import UserError
from engine.objective import TERMS

PUBLISHED_INIT = "I like cheese."
PUBLISHED_TARGET = "Once upon a time, there was a little girl named Lily."

MAX_TEXT_CHARACTERS = 10_000
"""A guard before any tokenizer runs; the limit that matters is the bundle's, in tokens."""


def _checked_text(text: str) -> str:
    if not text.strip():
        raise ValueError("empty; a sentence is needed")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"{len(text)} characters; at most {MAX_TEXT_CHARACTERS} are allowed")
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate; text must be valid Unicode") from None
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TextInit(_Strict):
    """Start from encode(text)."""

    kind: Literal["text"] = "text"
    text: str

    @field_validator("text")
    @classmethod
    def _is_a_sentence(cls, text: str) -> str:
        return _checked_text(text)

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
        return _checked_text(file.strip())

    def __str__(self) -> str:
        return f"vector of {self.file}"


Init = Annotated[TextInit | RandomInit | VectorInit | FileInit, Field(discriminator="kind")]


class RunSpec(_Strict):
    """One optimisation of one z. The defaults are the published experiment on the embedded models."""

    init: Init = TextInit(text=PUBLISHED_INIT)
    """Where z starts."""

    target: str = PUBLISHED_TARGET
    """The sentence that the predicted embedding should decode to."""

    weights: dict[str, float] = Field(default_factory=lambda: {"ce": 1.0})
    """Weight of each loss term; the loss is the weighted sum. Names are those of engine.objective.TERMS."""

    lr: float = Field(default=0.01, gt=0, le=1000)
    """Learning rate of Adam; may be changed while the run goes on."""

    steps: int = Field(default=100, ge=1, le=10_000_000)
    """Number of updates; the trajectory has one row more."""

    norm: Literal["initial", "free"] | float = "initial"
    """L2 norm of the effective z: held to the initial one, free, or held to a number."""

    decode_every: int = Field(default=10, ge=1, le=10_000_000)
    """Decode z and the prediction at every multiple of this step, and at the last one."""

    beam: int = Field(default=5, ge=1, le=20)
    """Beam size for decoding; 1 is greedy."""

    max_decoded_tokens: int | None = Field(default=None, ge=1, le=512)
    """Longest decoded text in tokens; None: three times the target's length."""

    bundle: str = Field(default="mini", min_length=1, max_length=100)
    """Name of the model bundle (engine.bundles)."""

    device: str = "auto"
    """`auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or `cuda:N`."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the models' weights; z, loss and optimiser are always float32."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the run's random generators."""

    vectors: Literal["every", "decoded", "ends"] = "every"
    """For which steps z is kept."""

    @field_validator("target")
    @classmethod
    def _target_is_a_sentence(cls, target: str) -> str:
        return _checked_text(target)

    @field_validator("weights")
    @classmethod
    def _weights_name_terms(cls, weights: dict[str, float]) -> dict[str, float]:
        for name, weight in weights.items():
            if name not in TERMS:
                raise ValueError(f"no loss term {name!r}; there are {', '.join(TERMS)}")
            if weight < 0:
                raise ValueError(f"{name}={weight:g}; a weight is 0 or more")
        if not any(weights.values()):
            raise ValueError("at least one loss term needs a weight above 0")
        return weights

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

    def decodes(self, step: int) -> bool:
        """Whether the texts of this step are decoded."""
        return step % self.decode_every == 0 or step == self.steps

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


def merge_weights(in_force: Mapping[str, float], changes: Mapping[str, float]) -> dict[str, float]:
    """The weights of a run's terms after some of them have been set; 0 switches a term off.

    Raises:
        UserError: an unknown term, a weight below 0 or not finite, or no term is left.
    """
    merged = parse_spec(weights={**in_force, **changes}).weights
    return {term: weight for term, weight in merged.items() if weight}


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
    value = detail.get("input")
    shown = "" if isinstance(value, (dict, BaseModel)) else f"{_shortened(value)}: "
    return f"{field}: {shown}{message}"


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
