"""The command line that makes a run again."""

import shlex
from collections.abc import Iterable, Mapping, Sequence

from engine.spec import FileInit, RandomInit, RunSpec, TextInit

_OPTIONS = (
    "forcing",
    "source_lang",
    "target_lang",
    "method",
    "optimizer",
    "lr",
    "clip",
    "steps",
    "norm",
    "decode_every",
    "read_every",
    "beam",
    "max_decoded_tokens",
    "seed",
    "bundle",
    "device",
    "dtype",
    "encoder",
    "compile",
    "vectors",
    "measures",
)
"""Fields whose options are called like them."""


def command_line(spec: RunSpec, *, fork_of: tuple[int, int] | None = None) -> str:
    """`sonar-explore run …` with every option whose value is not the default, quoted for a shell.

    Init and target are always there: they are what the run is about. A start from a stored z names its run
    in the database that the command is given. So does `sonar-explore fork …`, which has every option, because
    what is left out would be its parent's; an empty value takes away what the parent has.

    Args:
        spec: What the run was asked for.
        fork_of: The run and the step that it was forked from, if it was.
    """
    if fork_of is not None:
        return _fork_line(spec, *fork_of)
    words = ["sonar-explore", "run", *_init(spec), *_texts("target", spec.sentences)]
    words += [*_texts("before", spec.before), *_texts("context", spec.context)]
    words += [*_loss(spec.weights), *_schedules(spec), *_objective_options(spec)]
    for field in _OPTIONS:
        value = getattr(spec, field)
        if value != RunSpec.model_fields[field].default:
            words.append(_option(field, value))
    return shlex.join(words)


def _fork_line(spec: RunSpec, run: int, step: int) -> str:
    words = ["sonar-explore", "fork", str(run), f"--step={step}", *_texts("target", spec.sentences)]
    words += [*_texts("before", spec.before or [""]), *_texts("context", spec.context or [""])]
    words += [*_weights(spec.weights), "--schedule=", *_schedules(spec)]
    words += ["--option=", *_objective_options(spec)]
    for field in _OPTIONS:
        value = getattr(spec, field)
        words.append(_option(field, "" if value is None else value))
    return shlex.join(words)


def _option(field: str, value: object) -> str:
    name = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"


def _init(spec: RunSpec) -> Sequence[str]:
    if isinstance(spec.init, TextInit):
        return (f"--init={spec.init.text}",)
    if isinstance(spec.init, RandomInit):
        return (f"--init-random={spec.init.seed}",)
    if isinstance(spec.init, FileInit):
        return (f"--init-vector={spec.init.file}",)
    return (f"--init-vector={spec.init.run}:{spec.init.step}",)


def _texts(option: str, texts: Iterable[str]) -> list[str]:
    return [f"--{option}={text}" for text in texts]


def _loss(weights: Mapping[str, float]) -> list[str]:
    return [] if weights == {"ce": 1.0} else _weights(weights)


def _weights(weights: Mapping[str, float]) -> list[str]:
    return [f"--weight={term}={weight!r}" for term, weight in weights.items()] or ["--weight="]


def _schedules(spec: RunSpec) -> list[str]:
    return [f"--schedule={name}={schedule}" for name, schedule in spec.schedules.items()]


def _objective_options(spec: RunSpec) -> list[str]:
    return [
        f"--option={name}={text}"
        for name, value in spec.options.items()
        for text in (value if isinstance(value, tuple) else (value,))
    ]
