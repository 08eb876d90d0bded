"""From what stands in the form to what is queued, and back; what is wrong with it, beside which field."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from engine.bundles import check_language, find_bundle, known_bundle
from engine.errors import UserError
from engine.objective import TERMS
from engine.options import OPTIONS
from engine.schedule import parse_schedule, split_start
from engine.sentences import split_sentences
from engine.spec import (
    MAX_SENTENCES,
    FileInit,
    RandomInit,
    RunSpec,
    TextInit,
    VectorInit,
    parse_spec,
    with_changes,
)
from tui.form_fields import (
    DEFAULTS,
    EXISTING,
    FIELDS,
    MAX_COPIES,
    NEW,
    SPEC_KEYS,
    Values,
    is_shown,
    keys_of_texts,
    texts_in,
)
from tui.spelled import option_of, spelled_number, spelled_option

_PLAIN = (
    "target",
    "forcing",
    "method",
    "optimizer",
    "steps",
    "decode_every",
    "read_every",
    "beam",
    "bundle",
    "device",
    "dtype",
    "encoder",
    "compile",
    "seed",
    "vectors",
    "measures",
)
"""Fields that are called and written as in RunSpec."""

_MAY_BE_EMPTY = ("max_decoded_tokens", "clip", "source_lang", "target_lang")
"""Likewise; empty, a run is without."""

_LISTS = ("continuation", "before", "context")
"""Fields of RunSpec that are lists of texts."""

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
    schedules: dict[str, object] = {}
    options: dict[str, object] = {}
    for _, part in _parts(values):
        schedules |= _dict(part.get("schedules"))
        options |= _dict(part.get("options"))
        fields |= part
    return parse_spec(**{**fields, "schedules": schedules, "options": options | _options_not_shown(values)})


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
    """What stands in the fields for a spec; only the fields that a spec gives a value.

    Raises:
        UserError: it has more texts than there are fields for.
    """
    values = {key: DEFAULTS[key] for key in SPEC_KEYS}
    values |= {key: spelled_number(getattr(spec, key)) for key in _PLAIN}
    for key in _MAY_BE_EMPTY:
        value = getattr(spec, key)
        values[key] = "" if value is None else spelled_number(value)
    values["lr"] = _with_schedule(spec.lr, spec.schedules.get("lr"))
    for name in TERMS:
        values[f"weight_{name}"] = _with_schedule(spec.weights.get(name, 0.0), spec.schedules.get(name))
    for name in _LISTS:
        values |= _list_values(name, getattr(spec, name))
    for name, option in OPTIONS.items():
        texts = spelled_option(spec.option(name))
        if isinstance(option.default, tuple):
            values |= _list_values(f"option_{name}", texts)
        else:
            (values[f"option_{name}"],) = texts
    values["norm"] = spelled_number(spec.norm)
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
        ("source_lang", partial(_check_language, "source_lang")),
        ("target_lang", partial(_check_language, "target_lang")),
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
    if not errors:
        errors |= _errors_together(values)
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
    names = {place.rpartition(".")[2], place, reason.partition("=")[0]}
    by_name = (key for key in keys if key.partition("_")[2] in names or key in names)
    return next(by_name, keys[0]), reason


def split_texts(values: Values) -> dict[str, str]:
    """What the fields of texts hold once each sentence stands in a field of its own.

    Raises:
        UserError: there are more sentences than fields for them.
    """
    changed: dict[str, str] = {}
    target, *others = _split(
        [values["target"], *texts_in("continuation", values)], values["target_lang"]
    ) or [values["target"]]
    changed["target"] = target
    changed |= _list_values("continuation", others)
    for name in ("before", "context"):
        changed |= _list_values(name, _split(texts_in(name, values), values["source_lang"]))
    return changed


def _split(texts: Sequence[str], language: str) -> list[str]:
    return [sentence for text in texts for sentence in split_sentences(text, language.strip() or "eng_Latn")]


def _parts(values: Values) -> list[tuple[tuple[str, ...], dict[str, object]]]:
    """Each field of RunSpec as the form gives it, with the keys of the form's fields that make it.

    Schedules and options come one by one, so that each error stands beside its own field.
    """
    kind = values["init_kind"]
    init_keys = tuple(field.key for field in FIELDS.values() if field.shown_with == ("init_kind", kind))
    weight_keys = tuple(f"weight_{name}" for name in TERMS)
    init = {"kind": kind} | {key.removeprefix("init_"): values[key] for key in init_keys}
    lr, lr_schedule = _without_schedule(values["lr"], "lr")
    weights, schedules = _weights(values)
    readable = {name: text for name, text in schedules.items() if _is_schedule(name, text)}
    parts: list[tuple[tuple[str, ...], dict[str, object]]] = [
        (init_keys, {"init": init}),
        (weight_keys, {"weights": weights, "schedules": readable}),
        (("norm",), {"norm": _number_or_rule(values["norm"].strip())}),
        (("lr",), {"lr": lr, "schedules": {"lr": lr_schedule} if lr_schedule else {}}),
    ]
    parts.extend(
        ((f"weight_{name}",), {"schedules": {name: text}})
        for name, text in schedules.items()
        if name not in readable
    )
    parts.extend(((key,), {key: values[key].strip() or None}) for key in _MAY_BE_EMPTY)
    parts.extend(((key,), {key: values[key]}) for key in _PLAIN)
    for name in _LISTS:
        keys = tuple(key for key in keys_of_texts(name) if values[key].strip()) or (keys_of_texts(name)[0],)
        parts.append((keys, {name: texts_in(name, values)}))
    parts.extend(
        ((key,), {"options": {name: option}}) for name, key, option in _options(values, are_shown=True)
    )
    return parts


def _options(values: Values, *, are_shown: bool) -> list[tuple[str, str, object]]:
    """Full name, key and value of the options that are asked for, or of those that are not."""
    options: list[tuple[str, str, object]] = []
    for name, option in OPTIONS.items():
        is_list = isinstance(option.default, tuple)
        key = keys_of_texts(f"option_{name}")[0] if is_list else f"option_{name}"
        if is_shown(FIELDS[key], values) is are_shown:
            texts = texts_in(f"option_{name}", values) if is_list else [values[key].strip()]
            options.append((name, key, option_of(name, texts)))
    return options


def _options_not_shown(values: Values) -> dict[str, object]:
    """Options that have no effect as things stand, but may get one while the run goes on."""
    kept: dict[str, object] = {}
    for name, _, value in _options(values, are_shown=False):
        try:
            kept |= parse_spec(options={name: value}).options
        except UserError:
            continue
    return kept


def _list_values(name: str, texts: Sequence[str]) -> dict[str, str]:
    if len(texts) > MAX_SENTENCES:
        raise UserError(f"{name.removeprefix('option_')}: {len(texts)} texts; the form takes {MAX_SENTENCES}")
    keys = keys_of_texts(name)
    return {key: texts[place] if place < len(texts) else "" for place, key in enumerate(keys)}


def _weights(values: Values) -> tuple[dict[str, str], dict[str, str]]:
    """The weights that are not 0, as a spec names no term that it does not use; and the schedules."""
    typed = {name: _without_schedule(values[f"weight_{name}"], name) for name in TERMS}
    schedules = {name: schedule for name, (_, schedule) in typed.items() if schedule}
    weights = {name: weight for name, (weight, _) in typed.items()}
    used = {name: weight for name, weight in weights.items() if _number_or_rule(weight) not in (0.0, "")}
    return (used if used or schedules else weights), schedules


def _without_schedule(typed: str, name: str) -> tuple[str, str]:
    """The number that was typed, and the schedule after it; a weight without a number begins with 0."""
    typed = typed.strip()
    start, schedule = split_start(typed)
    if start is not None:
        return typed.removesuffix(schedule).rstrip(": "), schedule
    number, _, schedule = typed.partition(" ")
    if name != "lr" and not schedule and ":" in number:
        return "0", number
    return number, schedule.strip()


def _with_schedule(number: float, schedule: str | None) -> str:
    written = spelled_number(float(number))
    return written if schedule is None else f"{written} {schedule}"


def _is_schedule(name: str, text: str) -> bool:
    try:
        parse_schedule(text, of=name)
    except ValueError:
        return False
    return True


def _dict(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}


def _number_or_rule(norm: str) -> object:
    try:
        return float(norm)
    except ValueError:
        return norm


def _copy(spec: RunSpec, number: int) -> RunSpec:
    """Copy `number` of a run, from 0, with a seed of its own: that of its direction where it has one."""
    changed: dict[str, object] = (
        {"init": {"kind": "random", "seed": spec.init.seed + number}}
        if isinstance(spec.init, RandomInit)
        else {"seed": spec.seed + number}
    )
    return with_changes(spec, **changed)


def _errors_together(values: Values) -> dict[str, str]:
    """What is wrong with fields that are right each by itself."""
    try:
        spec_of(values)
    except UserError as error:
        return dict([blamed(str(error))])
    return {}


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


def _check_language(key: str, values: Values) -> None:
    bundle = known_bundle(values["bundle"])
    if values[key].strip() and bundle is not None:
        check_language(key, values[key].strip(), bundle)


def _check_name(values: Values) -> None:
    if values["name"].strip():
        _checked_name("name", values["name"])


def _checked_name(field: str, typed: str) -> str:
    name = typed.strip()
    longest = _MAX_NAME if field == "session_new" else _MAX_NAME - len(f" {MAX_COPIES}")
    if not name or len(name) > longest or not name.isprintable():
        raise UserError(f"{field}: a name has 1 to {longest} printable characters")
    return name
