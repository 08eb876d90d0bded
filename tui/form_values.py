"""From what stands in the form to what is queued, and back; what is wrong with it, beside which field."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.bundles import find_bundle
from engine.errors import UserError
from engine.objective import TERMS
from engine.spec import FileInit, RandomInit, RunSpec, TextInit, VectorInit, parse_spec, with_changes
from tui.form_fields import DEFAULTS, EXISTING, FIELDS, MAX_COPIES, NEW, SPEC_KEYS, Values, is_shown

_PLAIN = ("target", "lr", "steps", "decode_every", "beam", "bundle", "device", "dtype", "seed", "vectors")
"""Fields that are called and written as in RunSpec."""

_MAX_NAME = 200


@dataclass(frozen=True)
class Order:
    """What a filled form asks for: one run, or copies of it with other seeds."""

    specs: tuple[RunSpec, ...]
    names: tuple[str | None, ...]
    """One for each spec."""

    session: str | None
    """None: today's date."""

    break_points: tuple[str, ...]
    """Conditions that pause each of the runs."""


def order_of(values: Values) -> Order:
    """What a filled form asks for.

    Raises:
        UserError: a field is wrong.
    """
    for key, reason in form_errors(values).items():
        raise UserError(f"{key}: {reason}")
    spec, copies = spec_of(values), _copies(values)
    name = values["name"].strip()
    numbered = [f"{name} {number}" for number in range(1, copies + 1)] if copies > 1 else [name]
    return Order(
        specs=tuple(_copy(spec, number) for number in range(copies)),
        names=tuple(numbered) if name else (None,) * copies,
        session=_session(values),
        break_points=break_points_of(values),
    )


def spec_of(values: Values) -> RunSpec:
    """The spec that a filled form describes, without its copies.

    Raises:
        UserError: a field is wrong.
    """
    fields: dict[str, object] = {}
    for _, part in _parts(values):
        fields |= part
    return parse_spec(**fields)


def break_points_of(values: Values) -> tuple[str, ...]:
    """The conditions that pause the run, each as the worker writes it.

    Raises:
        UserError: one of them is no condition.
    """
    conditions = [part.strip() for part in values["break_points"].split(",") if part.strip()]
    if not conditions:
        return ()
    from engine.breakpoints import parse_condition

    return tuple(dict.fromkeys(str(parse_condition(condition)) for condition in conditions))


def values_of(spec: RunSpec, break_points: Sequence[str] = ()) -> dict[str, str]:
    """What stands in the fields for a spec; only the fields that a spec gives a value."""
    values = {key: DEFAULTS[key] for key in SPEC_KEYS}
    values |= {key: _written(getattr(spec, key)) for key in _PLAIN}
    values |= {f"weight_{name}": _written(spec.weights.get(name, 0.0)) for name in TERMS}
    values["norm"] = _written(spec.norm)
    values["max_decoded_tokens"] = "" if spec.max_decoded_tokens is None else str(spec.max_decoded_tokens)
    values["break_points"] = ", ".join(break_points)
    values["init_kind"] = spec.init.kind
    match spec.init:
        case TextInit(text=text):
            values["init_text"] = text
        case RandomInit(seed=seed):
            values["init_seed"] = str(seed)
        case VectorInit(run=run, step=step):
            values |= {"init_run": str(run), "init_step": str(step)}
        case FileInit(file=file):
            values["init_file"] = file
    return values


def form_errors(values: Values) -> dict[str, str]:
    """What is wrong, by the key of the field to say it beside; empty when nothing is."""
    errors: dict[str, str] = {}
    for keys, part in _parts(values):
        try:
            parse_spec(**part)
        except UserError as error:
            key, reason = blamed(str(error), keys)
            errors[key] = reason
    checks: tuple[tuple[str, Callable[[Values], object]], ...] = (
        ("bundle", lambda values: find_bundle(values["bundle"])),
        ("break_points", break_points_of),
        ("session_new", _session),
        ("name", _check_name),
        ("copies", _copies),
    )
    for key, check in checks:
        if key in errors or not is_shown(FIELDS[key], values):
            continue
        try:
            check(values)
        except UserError as error:
            errors[key] = str(error).removeprefix(f"{key}: ")
    if not errors and _copies(values) > 1:
        errors |= _seed_errors(values)
    return errors


def blamed(message: str, keys: Sequence[str] = tuple(FIELDS)) -> tuple[str, str]:
    """The field that a message of the spec is about, and what it says: a message names its field first.

    Args:
        message: For example `init.step: 'x': should be a valid integer`, or `weights: ce=-1; …`.
        keys: The fields that it can be about; the first of them where the message does not tell.
    """
    place, _, reason = message.partition(": ")
    names = {place.rpartition(".")[2], reason.partition("=")[0]}
    key = next((key for key in keys if key.rpartition("_")[2] in names or key == place), keys[0])
    return key, reason


def _parts(values: Values) -> list[tuple[tuple[str, ...], dict[str, object]]]:
    """Each field of RunSpec as the form gives it, with the keys of the form's fields that make it."""
    kind = values["init_kind"]
    init_keys = tuple(field.key for field in FIELDS.values() if field.shown_with == ("init_kind", kind))
    weight_keys = tuple(f"weight_{name}" for name in TERMS)
    init = {"kind": kind} | {key.removeprefix("init_"): values[key] for key in init_keys}
    parts: list[tuple[tuple[str, ...], dict[str, object]]] = [
        (init_keys, {"init": init}),
        (weight_keys, {"weights": _weights(values)}),
        (("norm",), {"norm": _number_or_rule(values["norm"].strip())}),
        (("max_decoded_tokens",), {"max_decoded_tokens": values["max_decoded_tokens"].strip() or None}),
    ]
    parts.extend(((key,), {key: values[key]}) for key in _PLAIN)
    return parts


def _weights(values: Values) -> dict[str, str]:
    """The weights that are not 0: a spec names no term that it does not use."""
    weights = {name: values[f"weight_{name}"] for name in TERMS}
    used = {name: weight for name, weight in weights.items() if _number_or_rule(weight) not in (0.0, "")}
    return used or weights


def _number_or_rule(norm: str) -> object:
    try:
        return float(norm)
    except ValueError:
        return norm


def _written(value: object) -> str:
    """A value as one would type it, without losing a digit."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def _copy(spec: RunSpec, number: int) -> RunSpec:
    """Copy `number` of a run, from 0, with a seed of its own: that of its direction where it has one."""
    changed: dict[str, object] = (
        {"init": {"kind": "random", "seed": spec.init.seed + number}}
        if isinstance(spec.init, RandomInit)
        else {"seed": spec.seed + number}
    )
    return with_changes(spec, **changed)


def _seed_errors(values: Values) -> dict[str, str]:
    try:
        _copy(spec_of(values), _copies(values) - 1)
    except UserError as error:
        key = "init_seed" if values["init_kind"] == "random" else "seed"
        return {key: f"of the last copy: {str(error).partition(': ')[2]}"}
    return {}


def _copies(values: Values) -> int:
    typed = values["copies"].strip()
    is_number = typed.isascii() and typed.isdigit() and len(typed) <= len(str(MAX_COPIES))
    if not (is_number and 1 <= int(typed) <= MAX_COPIES):
        raise UserError(f"copies: {typed!r}: should be a whole number from 1 to {MAX_COPIES}")
    return int(typed)


def _session(values: Values) -> str | None:
    if values["session_kind"] == EXISTING:
        return values["session_existing"]
    return _checked_name("session_new", values["session_new"]) if values["session_kind"] == NEW else None


def _check_name(values: Values) -> None:
    if values["name"].strip():
        _checked_name("name", values["name"])


def _checked_name(field: str, typed: str) -> str:
    name = typed.strip()
    longest = _MAX_NAME if field == "session_new" else _MAX_NAME - len(f" {MAX_COPIES}")
    if not name or len(name) > longest or not name.isprintable():
        raise UserError(f"{field}: a name has 1 to {longest} printable characters")
    return name
