"""The command line that makes a run again."""

import shlex
from collections.abc import Mapping, Sequence

from engine.spec import FileInit, RandomInit, RunSpec, TextInit

_OPTIONS = (
    "lr",
    "steps",
    "norm",
    "decode_every",
    "beam",
    "max_decoded_tokens",
    "seed",
    "bundle",
    "device",
    "dtype",
    "vectors",
)
"""Fields whose options are called like them."""


def command_line(spec: RunSpec, *, fork_of: tuple[int, int] | None = None) -> str:
    """`sonar-explore run …` with every option whose value is not the default, quoted for a shell.

    Init and target are always there: they are what the run is about. A start from a stored z names its run
    in the database that the command is given. So does `sonar-explore fork …`, which has every option, because
    what is left out would be its parent's.

    Args:
        spec: What the run was asked for.
        fork_of: The run and the step that it was forked from, if it was.
    """
    if fork_of is not None:
        return _fork_line(spec, *fork_of)
    words = ["sonar-explore", "run", *_init(spec), f"--target={spec.target}", *_loss(spec.weights)]
    for field in _OPTIONS:
        value = getattr(spec, field)
        if value != RunSpec.model_fields[field].default:
            words.append(f"--{field.replace('_', '-')}={value}")
    return shlex.join(words)


def _fork_line(spec: RunSpec, run: int, step: int) -> str:
    words = ["sonar-explore", "fork", str(run), f"--step={step}", f"--target={spec.target}"]
    words += [f"--weight={term}={weight!r}" for term, weight in spec.weights.items()]
    given = {field: getattr(spec, field) for field in _OPTIONS}
    words += [f"--{field.replace('_', '-')}={value}" for field, value in given.items() if value is not None]
    return shlex.join(words)


def _init(spec: RunSpec) -> Sequence[str]:
    if isinstance(spec.init, TextInit):
        return (f"--init={spec.init.text}",)
    if isinstance(spec.init, RandomInit):
        return (f"--init-random={spec.init.seed}",)
    if isinstance(spec.init, FileInit):
        return (f"--init-vector={spec.init.file}",)
    return (f"--init-vector={spec.init.run}:{spec.init.step}",)


def _loss(weights: Mapping[str, float]) -> Sequence[str]:
    if weights == {"ce": 1.0}:
        return ()
    return [f"--weight={term}={weight!r}" for term, weight in weights.items()]
