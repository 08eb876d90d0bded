"""The fields of the form for a new run: what stands before each, its default, and what is said beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.bundles import BUNDLES
from engine.objective import TERMS
from engine.spec import RunSpec, TextInit

Values = Mapping[str, str]
"""What stands in the fields, by their keys."""

TODAY, EXISTING, NEW = "today's date", "an existing one", "a new one"
"""Which session a run goes into."""

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

    is_sentence: bool = False
    """The value takes the whole line, and the note stands under it."""

    width: int = SHORT
    of_spec: bool = True
    """Presets and earlier runs give it a value; the others belong to this one opening of the form."""


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
    (
        "loss",
        tuple(
            FormField(
                f"weight_{name}", f"weight of {name}", f"{_DEFAULT.weights.get(name, 0):g}", term.description
            )
            for name, term in TERMS.items()
        ),
    ),
    (
        "optimisation",
        (
            FormField("lr", "learning rate", f"{_DEFAULT.lr:g}", "of Adam; + and - change it later"),
            FormField("steps", "steps", str(_DEFAULT.steps), "updates; the table has a row more"),
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
        "decoding",
        (
            FormField("decode_every", "decode every", str(_DEFAULT.decode_every), "steps"),
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
            FormField("seed", "seed", str(_DEFAULT.seed), "no effect yet: a run draws nothing"),
            FormField(
                "vectors", "keep z", _DEFAULT.vectors, "of which steps", choices=("every", "decoded", "ends")
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
    return field.shown_with is None or values[field.shown_with[0]] == field.shown_with[1]


def shown_fields(values: Values) -> Iterator[FormField]:
    """The fields that are asked for, in their order."""
    return (field for field in FIELDS.values() if is_shown(field, values))
