"""The form for a new run: every field of RunSpec, checked as one types; at first as the last run was."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.errors import UserError
from engine.forking import ForkPoint
from tui.actions import Place, bindings
from tui.fork_form import fork_errors, fork_note, fork_step
from tui.form_fields import AS_TYPED, DEFAULTS, EXISTING, FIELDS, NEW, SPEC_KEYS, SPLIT, TODAY, Values
from tui.form_material import FormMaterial, Source, own_source
from tui.form_values import Order, blamed, form_errors, order_of, split_texts
from tui.presets import Preset, delete_preset, save_preset
from tui.requests import Control, Refused, Requests
from tui.screens.preset_name import PresetNameScreen
from tui.text import safe_text
from tui.token_counts import Length, Measured, measure, to_measure
from tui.widgets.form import Form

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_EDITED = "as typed here"
"""The source of values that were changed and left for another source's."""


class Queued(Message):
    """The runs were saved."""

    def __init__(self, runs: Sequence[int]) -> None:
        super().__init__()
        self.runs = tuple(runs)


class TokensCounted(Message):
    """Lengths of sentences are known."""

    def __init__(self, lengths: dict[Measured, Length]) -> None:
        super().__init__()
        self.lengths = lengths


class PresetSaved(Message):
    """A preset is in the user's file."""

    def __init__(self, name: str, preset: Preset) -> None:
        super().__init__()
        self.name = name
        self.preset = preset


class PresetDeleted(Message):
    """A preset is in the user's file no more."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class PresetRefused(Message):
    """The user's file of presets is as it was."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class NewRunScreen(ModalScreen[int | None]):
    """Returns the id of the first queued run, or None when the form was closed."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.FORM)
    AUTO_FOCUS = None

    def __init__(self, database: Path, requests: Requests, material: FormMaterial) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self._sources = list(material.sources)
        self._sessions = material.sessions
        self._bundles = material.bundles
        self._notice = material.notice
        self._fork = material.fork
        self._source = self._sources[0]
        self._lengths: dict[Measured, Length] = {}
        self._is_counting = False
        self._is_sending = False
        self._said, self._is_refused = "", False
        self._deletes: str | None = None
        """The preset that the next press of the key deletes."""

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        with Vertical(id="form") as form:
            form.border_title = "New run" if self._fork is None else _fork_title(self._fork)
            form.border_subtitle = Content(self.app.keymap.hints(Place.FORM, _NAMED))
            session_kinds = (TODAY, EXISTING, NEW) if self._sessions else (TODAY, NEW)
            choices = {
                "source": self._source_labels,
                "session_kind": session_kinds,
                "bundle": self._bundles,
                "session_existing": self._sessions or ("",),
            }
            values = {**DEFAULTS, **self._source.values, "source": self._source.label}
            values["session_existing"] = choices["session_existing"][0]
            if self._fork is not None and self._fork.run.session in self._sessions:
                values |= {"session_kind": EXISTING, "session_existing": self._fork.run.session}
            yield Form(values, choices, id="fields")
            yield Static(id="outcome", markup=False)

    def on_mount(self) -> None:
        """Begin in the first sentence."""
        self._form.go_to("init_text" if self._form.values["init_kind"] == "text" else "target")
        self._check()
        self._say(self._notice, is_refused=bool(self._notice))

    # What stands in the fields

    @on(Form.Changed)
    def _changed(self, message: Form.Changed) -> None:
        self._deletes = None
        self._say("")
        if message.key == "source":
            label = self._form.values["source"]
            self._take(next(source for source in self._sources if source.label == label))
        elif message.key == "split" and self._form.values["split"] == SPLIT:
            self._split_texts()
        self._check()

    def _split_texts(self) -> None:
        """Put each sentence of the texts into a field of its own."""
        try:
            self._form.set_values({**split_texts(self._form.values), "split": AS_TYPED})
        except UserError as error:
            self._form.set_values({"split": AS_TYPED})
            self._say(str(error), is_refused=True)

    @on(Form.Moved)
    def _moved(self) -> None:
        self._say_note()

    def action_next_field(self) -> None:
        """Go to the field below, or round to the first."""
        self._form.go_by(1)

    def action_previous_field(self) -> None:
        """Go to the field above, or round to the last."""
        self._form.go_by(-1)

    def _check(self) -> None:
        """Say beside each field what is wrong with it, and count tokens that are not counted yet."""
        values = self._form.values
        hints = self._hints(values)
        self._form.show_notes(self._errors(values), hints)
        self._say_note()
        self._count_tokens()

    def _errors(self, values: Values) -> dict[str, str]:
        errors = form_errors(values)
        for sentence in to_measure(values):
            length = self._lengths.get(sentence)
            if length is not None and length.is_too_long:
                errors.setdefault(sentence.key, str(length))
        return errors if self._fork is None else fork_errors(self._fork, values) | errors

    def _hints(self, values: Values) -> dict[str, str]:
        hints = {
            sentence.key: str(self._lengths[sentence]) if sentence in self._lengths else "…"
            for sentence in to_measure(values)
        }
        is_edited = self._is_edited(values)
        note = f"; {self._source.note}" if self._source.note else ""
        hints["source"] = "changed since" if is_edited else f"{self._keys['next_source']}: the next{note}"
        if self._fork is not None:
            hints["init_kind"] = fork_note(self._fork, values)
        if values["copies"].strip() not in ("1", ""):
            seed = "direction seed" if values["init_kind"] == "random" else "seed"
            first = values["init_seed" if values["init_kind"] == "random" else "seed"].strip()
            hints["copies"] = f"{seed}s from {first} on"
        return hints

    def _count_tokens(self) -> None:
        wanted = [sentence for sentence in to_measure(self._form.values) if sentence not in self._lengths]
        if wanted and not self._is_counting:
            self._is_counting = True
            self.run_worker(partial(self._count, wanted), thread=True, group="tokens")

    def _count(self, sentences: Sequence[Measured]) -> None:
        self.post_message(TokensCounted({sentence: measure(sentence) for sentence in sentences}))

    @on(TokensCounted)
    def _show_counts(self, message: TokensCounted) -> None:
        self._is_counting = False
        self._lengths = message.lengths | {
            sentence: self._lengths[sentence]
            for sentence in to_measure(self._form.values)
            if sentence in self._lengths
        }
        self._check()

    # Where the values are from

    @property
    def _source_labels(self) -> tuple[str, ...]:
        return tuple(source.label for source in self._sources)

    def _is_edited(self, values: Values) -> bool:
        return any(values[key] != self._source.values[key] for key in SPEC_KEYS)

    def action_next_source(self) -> None:
        """Fill the form from the next source."""
        place = self._source_labels.index(self._source.label)
        self._take(self._sources[(place + 1) % len(self._sources)])
        self._deletes = None
        self._say("")
        self._check()

    def _take(self, source: Source) -> None:
        """Fill the form from a source; what was typed becomes one itself, so that it can be had back."""
        values = self._form.values
        if self._is_edited(values):
            typed = Source(_EDITED, {key: values[key] for key in SPEC_KEYS})
            self._sources = [*(other for other in self._sources if other.label != _EDITED), typed]
            source = typed if source.label == _EDITED else source
        self._show_source(source)
        self._form.set_values({**source.values, "source": source.label})

    def _show_source(self, source: Source) -> None:
        self._source = source
        self._form.set_choices("source", self._source_labels)
        self._form.set_values({"source": source.label})

    def action_save_preset(self) -> None:
        """Ask for a name and keep the values under it."""
        order = self._order_or_say()
        if order is None:
            return
        own = [source.own_preset for source in self._sources if source.own_preset is not None]
        preset = Preset(order.specs[0], order.break_points)
        self.app.push_screen(
            PresetNameScreen(self._source.own_preset or "", own),
            lambda name: None if name is None else self._save_preset(name, preset),
        )

    def _save_preset(self, name: str, preset: Preset) -> None:
        def save(_: Control) -> Message:
            save_preset(name, preset)
            return PresetSaved(name, preset)

        self._requests.submit(self, save, PresetRefused)

    @on(PresetSaved)
    def _preset_saved(self, message: PresetSaved) -> None:
        saved = own_source(message.name, message.preset)
        labels = self._source_labels
        if saved.label in labels:
            self._sources[labels.index(saved.label)] = saved
        else:
            self._sources.append(saved)
        self._show_source(saved)
        self._check()
        self._say(f"saved as the preset {message.name}")

    def action_delete_preset(self) -> None:
        """Delete the preset that fills the form, when the key is pressed a second time."""
        name = self._source.own_preset
        next_source, again = (self._keys[action] for action in ("next_source", "delete_preset"))
        if name is None:
            self._say(
                f"Only a preset of your own can be deleted; {next_source} goes to the next",
                is_refused=True,
            )
        elif self._deletes != name:
            self._deletes = name
            self._say(f"{again} again deletes the preset {name}")
        else:

            def delete(_: Control) -> Message:
                delete_preset(name)
                return PresetDeleted(name)

            self._deletes = None
            self._requests.submit(self, delete, PresetRefused)

    @on(PresetDeleted)
    def _preset_deleted(self, message: PresetDeleted) -> None:
        gone = next((source for source in self._sources if source.own_preset == message.name), None)
        if gone is not None:
            # Its values stay in the fields, as if they had been typed.
            typed = Source(_EDITED, gone.values)
            self._sources = [
                source for source in self._sources if source is not gone and source.label != _EDITED
            ]
            self._sources.append(typed)
            if self._source is gone:
                self._show_source(typed)
            self._form.set_choices("source", self._source_labels)
        self._check()
        self._say(f"deleted the preset {message.name}")

    @on(PresetRefused)
    def _preset_refused(self, message: PresetRefused) -> None:
        self._say(message.reason, is_refused=True)

    # Starting

    def action_start(self) -> None:
        """Queue the run, or go to the first field that is wrong."""
        if self._is_sending:
            return
        order = self._order_or_say()
        if order is None:
            return
        self._is_sending = True
        self._say("starting …")
        step = None if self._fork is None else fork_step(self._fork, self._form.values)
        if self._fork is None or step is None:
            queue = partial(_queue, self._database, order)
        else:
            queue = partial(_queue_forks, self._database, self._fork.run.id, step, order)
        self._requests.submit(self, queue, Refused)

    def action_cancel(self) -> None:
        """Close the form; nothing is started."""
        if not self._is_sending:
            self.dismiss(None)

    @on(Queued)
    def _close(self, message: Queued) -> None:
        self.dismiss(message.runs[0])

    @on(Refused)
    def _show_reason(self, message: Refused) -> None:
        self._is_sending = False
        key, _ = blamed(message.reason, ("", *FIELDS))
        if key:
            self._form.go_to(key)
        self._say(message.reason, is_refused=True)

    def _order_or_say(self) -> Order | None:
        """What the form asks for; None, with the first wrong field as the current one, where it cannot be."""
        values = self._form.values
        errors = self._errors(values)
        if not errors:
            return order_of(values)
        self._check()
        self._form.go_to(next(key for key in FIELDS if key in errors))
        self._say(f"{len(errors)} field{'s' if len(errors) > 1 else ''} to mend first", is_refused=True)
        return None

    # Parts

    @property
    def _keys(self) -> dict[str, str]:
        """The key of each action of the form."""
        return self.app.keymap.keys(Place.FORM)

    def _say(self, text: str, *, is_refused: bool = False) -> None:
        self._said = text
        self._is_refused = is_refused
        self._say_note()

    def _say_note(self) -> None:
        """Under the fields: what happened, else in full what there is no room for beside the current one.

        Else, for a fork, what it starts from.
        """
        outcome = self.query_one("#outcome", Static)
        outcome.set_class(self._is_refused, "-refused")
        fork = "" if self._fork is None else fork_note(self._fork, self._form.values)
        shown = safe_text(self._said or self._form.note_in_full() or fork)
        if shown != str(outcome.content):
            outcome.update(shown)

    @property
    def _form(self) -> Form:
        return self.query_one(Form)


_NAMED = ("start", "next_source", "save_preset", "cancel")
"""Actions that the lower border names."""


def _queue(database: Path, order: Order, control: Control) -> Message:
    return Queued(
        control.queue_runs(
            database, order.specs, session=order.session, names=order.names, break_points=order.break_points
        )
    )


def _queue_forks(database: Path, parent: int, step: int, order: Order, control: Control) -> Message:
    return Queued(
        control.queue_forks(
            database,
            parent,
            step,
            order.specs,
            session=order.session or date.today().isoformat(),
            names=order.names,
            break_points=order.break_points,
        )
    )


def _fork_title(point: ForkPoint) -> Content:
    return Content(safe_text(f"Fork of {point.run.session}/{point.run.number}", limit=60))
