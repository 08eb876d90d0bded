"""The form for a new run: every field of RunSpec, checked as one types; by default the published run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Select, Static

from engine.bundles import BUNDLES, find_bundle
from engine.errors import UserError
from engine.objective import TERMS
from engine.spec import RunSpec, TextInit, parse_spec
from engine.tokens import SOURCE_CONTROL_TOKENS, TARGET_CONTROL_TOKENS, check_lengths, count_tokens
from tui.actions import Place, bindings
from tui.requests import Control, Requests
from tui.text import safe_text

Values = Mapping[str, str]
"""What stands in the fields, by their keys."""

_DEFAULT = RunSpec()
_DEFAULT_INIT = _DEFAULT.init if isinstance(_DEFAULT.init, TextInit) else TextInit(text="")


@dataclass(frozen=True)
class FormField:
    """One field: what stands before it, its default, and what is said beside it while it is right."""

    key: str
    label: str
    default: str
    hint: str = ""
    choices: tuple[str, ...] = ()
    """The field is a choice among these; typed otherwise."""

    init_kind: str = ""
    """The kind of init that the field belongs to; shown only with it."""

    is_sentence: bool = False


FIELDS: tuple[FormField, ...] = (
    FormField("init_kind", "start from", "text", "where z starts", choices=("text", "random", "vector")),
    FormField("init_text", "text", _DEFAULT_INIT.text, init_kind="text", is_sentence=True),
    FormField("init_seed", "direction seed", "0", "at the mean norm of embeddings", init_kind="random"),
    FormField("init_run", "from run", "", "its number as in `sonar-explore list`", init_kind="vector"),
    FormField("init_step", "at step", "0", "whose z is stored", init_kind="vector"),
    FormField("target", "target", _DEFAULT.target, is_sentence=True),
    *(
        FormField(
            f"weight_{name}", f"weight of {name}", f"{_DEFAULT.weights.get(name, 0):g}", term.description
        )
        for name, term in TERMS.items()
    ),
    FormField("lr", "learning rate", f"{_DEFAULT.lr:g}", "of Adam; + and - change it later"),
    FormField("steps", "steps", str(_DEFAULT.steps), "updates; the table has a row more"),
    FormField("norm", "norm of z", str(_DEFAULT.norm), "initial, free, or a number"),
    FormField("decode_every", "decode every", str(_DEFAULT.decode_every), "steps"),
    FormField("beam", "beam", str(_DEFAULT.beam), "1 is greedy"),
    FormField("max_decoded_tokens", "decode at most", "", "tokens; empty: 3 times the target"),
    FormField("bundle", "bundle", _DEFAULT.bundle, choices=tuple(BUNDLES)),
    FormField("device", "device", _DEFAULT.device, "auto, cpu, cuda or cuda:N"),
    FormField("dtype", "dtype", _DEFAULT.dtype, "of the models' weights", choices=("float32", "bfloat16")),
    FormField("seed", "seed", str(_DEFAULT.seed), "of the run's random generators"),
    FormField("vectors", "keep z", _DEFAULT.vectors, "of which steps", choices=("every", "decoded", "ends")),
    FormField("session", "session", "", "empty: today's date"),
    FormField("name", "name", "", "may stay empty"),
)


class Queued(Message):
    """The run was saved."""

    def __init__(self, run: int) -> None:
        super().__init__()
        self.run = run


class Refused(Message):
    """The run could not be saved; nothing was."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class FieldRow(Horizontal):
    """A field with its label, and a hint that becomes the error while the field is wrong."""

    def __init__(self, field: FormField) -> None:
        super().__init__(classes="field -sentence" if field.is_sentence else "field")
        self.field = field
        self._hint = Static(field.hint, markup=False, classes="hint")

    def compose(self) -> ComposeResult:
        """Lay out label, field and hint: beside the field, or under it where the field is a sentence."""
        yield Label(self.field.label, markup=False, classes="label")
        if self.field.is_sentence:
            with Vertical():
                yield self._input()
                yield self._hint
            return
        if self.field.choices:
            options = [(choice, choice) for choice in self.field.choices]
            yield Select(
                options, value=self.field.default, allow_blank=False, compact=True, id=self.field.key
            )
        else:
            yield self._input()
        yield self._hint

    def show(self, error: str | None, hint: str) -> None:
        """Show the error, or the hint where there is none."""
        self.set_class(error is not None, "-invalid")
        shown = safe_text(hint if error is None else error)
        if shown != str(self._hint.content):
            self._hint.update(shown)

    def _input(self) -> Input:
        return Input(self.field.default, compact=True, id=self.field.key, select_on_focus=False)


class NewRunScreen(ModalScreen[int | None]):
    """Returns the id of the queued run, or None when the form was closed."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.FORM)

    def __init__(self, database: Path, requests: Requests) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self._is_sending = False

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        with Vertical(id="form") as form:
            form.border_title = "New run"
            form.border_subtitle = "enter or ctrl+s starts it, esc closes"
            with VerticalScroll(id="fields", can_focus=False):
                for field in FIELDS:
                    yield FieldRow(field)
            yield Static(id="outcome", markup=False)

    def on_mount(self) -> None:
        """Begin in the first sentence."""
        self.query_one("#init_text", Input).focus()
        self._check()

    @on(Input.Changed)
    @on(Select.Changed)
    def _check(self) -> None:
        """Say beside each field what is wrong with it."""
        values = self._values()
        errors = form_errors(values)
        for row in self.query(FieldRow):
            row.display = row.field.init_kind in ("", values["init_kind"])
            row.show(errors.get(row.field.key), _length_hint(row.field, values) or row.field.hint)
        self._say("")

    @on(Input.Submitted)
    def _submit(self) -> None:
        self.action_start()

    def action_start(self) -> None:
        """Queue the run, or go to the first field that is wrong."""
        if self._is_sending:
            return
        values = self._values()
        if errors := form_errors(values):
            key = next(field.key for field in FIELDS if field.key in errors)
            self.query_one(f"#{key}").focus()
            self._say(f"{len(errors)} field{'s' if len(errors) > 1 else ''} to mend first", is_refused=True)
            return
        spec = spec_of(values)
        session, name = values["session"].strip() or None, values["name"].strip() or None

        def queue(control: Control) -> Message:
            return Queued(control.queue_run(self._database, spec, session=session, name=name))

        self._is_sending = True
        self._say("starting …")
        self._requests.submit(self, queue, Refused)

    def action_cancel(self) -> None:
        """Close the form; nothing is started."""
        if not self._is_sending:
            self.dismiss(None)

    @on(Queued)
    def _close(self, message: Queued) -> None:
        self.dismiss(message.run)

    @on(Refused)
    def _show_reason(self, message: Refused) -> None:
        self._is_sending = False
        self._say(message.reason, is_refused=True)

    def _values(self) -> dict[str, str]:
        values = {}
        for field in FIELDS:
            widget = self.query_one(f"#{field.key}")
            values[field.key] = str(widget.value) if isinstance(widget, (Input, Select)) else field.default
        return values

    def _say(self, text: str, *, is_refused: bool = False) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.set_class(is_refused, "-refused")
        if safe_text(text) != str(outcome.content):
            outcome.update(safe_text(text))
        outcome.display = bool(text)


def spec_of(values: Values) -> RunSpec:
    """The spec that a filled form describes.

    Raises:
        UserError: a field is wrong.
    """
    fields: dict[str, object] = {}
    for _, part in _parts(values):
        fields |= part
    return parse_spec(**fields)


def form_errors(values: Values) -> dict[str, str]:
    """What is wrong, by the key of the field to say it beside; empty when nothing is."""
    errors: dict[str, str] = {}
    for keys, part in _parts(values):
        try:
            spec = parse_spec(**part)
            if keys in (("target",), ("init_text",)):
                check_lengths(spec.model_copy(update={"bundle": values["bundle"]}))
        except UserError as error:
            # A message names its field first; the form says it beside that field instead.
            place, _, reason = str(error).partition(": ")
            errors[_blamed(keys, place, reason)] = reason
    return errors


def _parts(values: Values) -> list[tuple[tuple[str, ...], dict[str, object]]]:
    """Each field of RunSpec as the form gives it, with the keys of the form's fields that make it."""
    kind = values["init_kind"]
    init_keys = tuple(field.key for field in FIELDS if field.init_kind == kind)
    weight_keys = tuple(f"weight_{name}" for name in TERMS)
    init = {"kind": kind} | {key.removeprefix("init_"): values[key] for key in init_keys}
    plain = ("target", "lr", "steps", "decode_every", "beam", "bundle", "device", "dtype", "seed", "vectors")
    parts: list[tuple[tuple[str, ...], dict[str, object]]] = [
        (init_keys, {"init": init}),
        (weight_keys, {"weights": _weights(values)}),
        (("norm",), {"norm": _number_or_rule(values["norm"].strip())}),
        (("max_decoded_tokens",), {"max_decoded_tokens": values["max_decoded_tokens"].strip() or None}),
    ]
    parts.extend(((key,), {key: values[key]}) for key in plain)
    return parts


def _blamed(keys: Sequence[str], place: str, reason: str) -> str:
    """The field that a message is about: `init.step`, or `weights` with a reason that begins `ce=-1`."""
    names = {place.rpartition(".")[2], reason.partition("=")[0]}
    return next((key for key in keys if key.rpartition("_")[2] in names), keys[0])


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


def _length_hint(field: FormField, values: Values) -> str:
    """How long a sentence is for the bundle that is chosen."""
    if not field.is_sentence:
        return ""
    bundle = find_bundle(values["bundle"])
    count = count_tokens(bundle, values[field.key])
    control_tokens = TARGET_CONTROL_TOKENS if field.key == "target" else SOURCE_CONTROL_TOKENS
    return "" if count is None else f"{count} of at most {bundle.max_tokens - control_tokens} tokens"
