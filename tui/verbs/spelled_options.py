"""What the options of a run spell that are more than a number or a name, as the fields of a spec take it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import UserError
from engine.objective import TERMS
from engine.vector_files import SUFFIXES
from tui.spelled import number_of, option_of


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
