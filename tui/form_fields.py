"""The fields of the form for a new run: what stands before each, its default, and what is said beside it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.bundles import BUNDLES
from engine.objective import CONSTRAINTS, TERMS
from engine.objective.option import Option
from engine.optimizers import OPTIMIZERS
from engine.population.options import METHODS, POPULATION_OPTIONS
from engine.population.options import NAME as POPULATION
from engine.spec import MAX_SENTENCES, RunSpec, TextInit
from tui.spelled import spelled_number, spelled_option

Values = Mapping[str, str]
"""What stands in the fields, by their keys."""

TODAY, EXISTING, NEW = "today's date", "an existing one", "a new one"
"""Which session a run goes into."""

AS_TYPED, SPLIT = "as typed", "split"
"""What is to be made of the texts: nothing, or their sentences, each in a field of its own."""

MAX_COPIES = 100

SHORT, LONG = 20, 40
"""Cells of a value that has its note beside it."""

_DEFAULT = RunSpec()
_DEFAULT_INIT = _DEFAULT.init if isinstance(_DEFAULT.init, TextInit) else TextInit(text="")


@dataclass(frozen=True)
class FormField:
    """One field."""

    key: str
    label: str
    default: str
    hint: str = ""
    choices: tuple[str, ...] = ()
    """The field is a choice among these, or among others that the form is given; typed where it is empty."""

    shown_with: tuple[str, str] | None = None
    """Key and value of the choice that the field belongs to: it is shown only with it."""

    shown_if: Callable[[Values], bool] | None = None
    """Whether it is shown, where that is more than a choice."""

    is_sentence: bool = False
    """The value takes the whole line, and the note stands under it."""

    width: int = SHORT
    of_spec: bool = True
    """Presets and earlier runs give it a value; the others belong to this one opening of the form."""


def keys_of_texts(name: str) -> list[str]:
    """Keys of the fields for a list of texts: a field of RunSpec, or an option's full name."""
    return [f"{name}_{number}" for number in range(1, MAX_SENTENCES + 1)]


def texts_in(name: str, values: Values) -> list[str]:
    """The texts of a list; a field that is left empty is none."""
    return [values[key] for key in keys_of_texts(name) if values[key].strip()]


def _text_fields(
    name: str, label: str, hint: str, *, first: int = 1, shown_if: Callable[[Values], bool] | None = None
) -> Iterator[FormField]:
    """A field for each text of a list; there is always an empty one after the last."""
    keys = keys_of_texts(name)

    def is_next(place: int) -> Callable[[Values], bool]:
        def is_shown(values: Values) -> bool:
            if shown_if is not None and not shown_if(values):
                return False
            return place == 0 or any(values[key].strip() for key in keys[place - 1 :])

        return is_shown

    for place, key in enumerate(keys):
        number = place + first
        yield FormField(
            key,
            label if number == 1 else f"{label} {number}",
            "",
            hint,
            shown_if=is_next(place),
            is_sentence=True,
        )


def _option_fields(
    entry: str,
    options: Iterable[Option],
    shown_if: Callable[[Values], bool],
    *,
    first_label: str = "",
    first_shown_if: Callable[[Values], bool] | None = None,
) -> Iterator[FormField]:
    """A field for each option of an entry, set in below what switches them on."""
    for place, option in enumerate(options):
        name = f"{entry}.{option.name}"
        label = first_label if place == 0 and first_label else f"  {option.name.replace('_', ' ')}"
        condition = first_shown_if if place == 0 and first_label else shown_if
        if isinstance(option.default, tuple):
            yield from _text_fields(f"option_{name}", label, option.description, shown_if=condition)
            continue
        (default,) = spelled_option(option.default)
        among = tuple(option.allowed.split(", ")) if isinstance(option.default, str) else ()
        hint = f"{option.description}; {option.allowed}"
        yield FormField(
            f"option_{name}",
            label,
            default,
            option.description if among else hint,
            choices=among if default in among else (),
            shown_if=condition,
        )


def is_weighed(values: Values, term: str) -> bool:
    """Whether a term has a weight, or a schedule after it."""
    typed = values[f"weight_{term}"].split()
    try:
        return len(typed) != 1 or float(typed[0]) != 0
    except ValueError:
        return True


def _is_weighed(term: str) -> Callable[[Values], bool]:
    return lambda values: is_weighed(values, term)


def _is_on(constraint: str) -> Callable[[Values], bool]:
    """Whether the first option of a constraint, its switch, is not as at first."""
    switch = CONSTRAINTS[constraint].options[0]
    key, off = f"option_{constraint}.{switch.name}", spelled_option(switch.default)
    return lambda values: [values[key].strip()] != off


def _loss_fields() -> Iterator[FormField]:
    for name, term in TERMS.items():
        yield FormField(
            f"weight_{name}", f"weight of {name}", f"{_DEFAULT.weights.get(name, 0):g}", term.description
        )
        yield from _option_fields(name, term.options, _is_weighed(name))


def _constraint_fields() -> Iterator[FormField]:
    for name, constraint in CONSTRAINTS.items():
        first = f"{name} {constraint.options[0].name}".replace("_", " ")
        yield from _option_fields(name, constraint.options, _is_on(name), first_label=first)


def _optimizer_fields() -> Iterator[FormField]:
    def is_chosen(name: str) -> Callable[[Values], bool]:
        return lambda values: values["optimizer"] == name

    yield FormField(
        "optimizer", "optimizer", _DEFAULT.optimizer, "steps along the gradient", choices=tuple(OPTIMIZERS)
    )
    for name, optimizer in OPTIMIZERS.items():
        yield from _option_fields(name, optimizer.options, is_chosen(name))


def _method_fields() -> Iterator[FormField]:
    def is_population(values: Values) -> bool:
        return values["method"] == POPULATION

    yield FormField(
        "method",
        "method",
        _DEFAULT.method,
        "population: generations of texts, of which the best are kept",
        choices=tuple(METHODS),
    )
    yield from _option_fields(POPULATION, POPULATION_OPTIONS, is_population)


def _has_several_targets(values: Values) -> bool:
    return any(values[key].strip() for key in keys_of_texts("continuation"))


GROUPS: tuple[tuple[str, tuple[FormField, ...]], ...] = (
    (
        "",
        (
            FormField(
                "source",
                "values of",
                "",
                choices=("",),
                width=LONG,
                of_spec=False,
            ),
        ),
    ),
    (
        "what it looks for",
        (
            FormField(
                "init_kind",
                "start from",
                "text",
                "where z starts",
                choices=("text", "random", "vector", "file"),
            ),
            FormField(
                "init_text", "text", _DEFAULT_INIT.text, shown_with=("init_kind", "text"), is_sentence=True
            ),
            FormField(
                "init_seed",
                "direction seed",
                "0",
                "at the mean norm of embeddings",
                shown_with=("init_kind", "random"),
            ),
            FormField(
                "init_run",
                "from run",
                "",
                "its number in `sonar-explore list`",
                shown_with=("init_kind", "vector"),
            ),
            FormField("init_step", "at step", "0", "whose z is stored", shown_with=("init_kind", "vector")),
            FormField(
                "init_file",
                "vector of file",
                "",
                ".npy or .safetensors; FILE:TENSOR for one of several",
                shown_with=("init_kind", "file"),
                width=LONG,
            ),
            FormField("target", "target", _DEFAULT.target, is_sentence=True),
        ),
    ),
    ("loss; after a weight its schedule: 0.1 linear:1:50, cosine:END:N, warmup:N", tuple(_loss_fields())),
    (
        "optimisation",
        (
            FormField("lr", "learning rate", f"{_DEFAULT.lr:g}", "and its schedule: 0.01 cosine:0:100"),
            *_method_fields(),
            *_optimizer_fields(),
            FormField("clip", "clip gradient", "", "its largest norm; empty: any"),
            FormField(
                "steps", "steps", str(_DEFAULT.steps), "updates or generations; the table has a row more"
            ),
            FormField("norm", "norm of z", str(_DEFAULT.norm), "initial, free, or a number"),
            FormField(
                "break_points",
                "pause when",
                "",
                "changed, match, not-finite, loss<0.2, …; a comma between two; may stay empty",
                is_sentence=True,
            ),
        ),
    ),
    (
        "more sentences; each in its own field, an empty one is none",
        (
            *_text_fields(
                "continuation", "target", "to be said after the one before; may stay empty", first=2
            ),
            FormField(
                "forcing",
                "forcing",
                _DEFAULT.forcing,
                "before each further target: the true one, or the predicted",
                choices=("teacher", "free"),
                shown_if=_has_several_targets,
            ),
            *_text_fields("before", "before z", "a fixed sentence before z; may stay empty"),
            *_text_fields(
                "context", "after z", "a fixed sentence between z and the prediction; may stay empty"
            ),
            FormField(
                "split",
                "texts",
                AS_TYPED,
                "split puts each sentence into a field of its own",
                choices=(AS_TYPED, SPLIT),
                of_spec=False,
            ),
            FormField("source_lang", "language in", "", "of encoded texts, as deu_Latn; empty: the bundle's"),
            FormField("target_lang", "language out", "", "of decoded texts; empty: the bundle's"),
        ),
    ),
    ("constraints", tuple(_constraint_fields())),
    (
        "decoding",
        (
            FormField("decode_every", "decode every", str(_DEFAULT.decode_every), "steps"),
            FormField(
                "read_every", "read z every", str(_DEFAULT.read_every), "steps, where a term needs its text"
            ),
            FormField("beam", "beam", str(_DEFAULT.beam), "1 is greedy"),
            FormField("max_decoded_tokens", "decode at most", "", "tokens; empty: 3 times the target"),
        ),
    ),
    (
        "models",
        (
            FormField("bundle", "bundle", _DEFAULT.bundle, choices=tuple(BUNDLES)),
            FormField("device", "device", _DEFAULT.device, "auto, cpu, cuda or cuda:N"),
            FormField(
                "dtype", "dtype", _DEFAULT.dtype, "of the models' weights", choices=("float32", "bfloat16")
            ),
            FormField(
                "encoder",
                "encoder on",
                _DEFAULT.encoder,
                "the device, or the CPU to save a card's memory",
                choices=("device", "cpu"),
            ),
            FormField(
                "compile",
                "compile",
                spelled_number(_DEFAULT.compile),
                "the models' part of a step: for long sweeps",
                choices=("no", "yes"),
            ),
        ),
    ),
    (
        "the run",
        (
            FormField("session_kind", "session", TODAY, choices=(TODAY, NEW), of_spec=False),
            FormField(
                "session_existing",
                "which one",
                "",
                choices=("",),
                shown_with=("session_kind", EXISTING),
                width=LONG,
                of_spec=False,
            ),
            FormField(
                "session_new", "its name", "", shown_with=("session_kind", NEW), width=LONG, of_spec=False
            ),
            FormField("name", "name", "", "may stay empty", of_spec=False),
            FormField("copies", "copies", "1", f"at most {MAX_COPIES}, each with a seed", of_spec=False),
            FormField("seed", "seed", str(_DEFAULT.seed), "of noise, and of whatever is drawn"),
            FormField(
                "vectors", "keep z", _DEFAULT.vectors, "of which steps", choices=("every", "decoded", "ends")
            ),
            FormField(
                "measures",
                "measure",
                _DEFAULT.measures,
                "of decoded rows; quick: without the models",
                choices=("all", "quick", "none"),
            ),
        ),
    ),
)
"""Every field, under the titles that the form gives to its parts."""

FIELDS: Mapping[str, FormField] = {field.key: field for _, fields in GROUPS for field in fields}
"""Every field by its key, in the order of the form."""

DEFAULTS: Values = {field.key: field.default for field in FIELDS.values()}

SPEC_KEYS: tuple[str, ...] = tuple(field.key for field in FIELDS.values() if field.of_spec)
"""The fields that a preset or an earlier run gives a value."""


def is_shown(field: FormField, values: Values) -> bool:
    """Whether a field is asked for, as the choices stand."""
    if field.shown_if is not None and not field.shown_if(values):
        return False
    return field.shown_with is None or values[field.shown_with[0]] == field.shown_with[1]


def shown_fields(values: Values) -> Iterator[FormField]:
    """The fields that are asked for, in their order."""
    return (field for field in FIELDS.values() if is_shown(field, values))
