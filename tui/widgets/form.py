"""A form: many fields, painted, and one editor that goes from field to field."""

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Key, Resize
from textual.message import Message
from textual.widgets import Input

from tui.actions import Place
from tui.form_fields import FIELDS, GROUPS, FormField, Values, is_shown, shown_fields
from tui.widgets.field_editor import FieldEditor, typed_text
from tui.widgets.form_pane import FormLine, FormPane


class Form(Container):
    """Keeps what stands in the fields; what is to be said beside them it is told."""

    DEFAULT_CSS = """
    Form {
        layers: fields editor;
        height: 1fr;
    }
    Form FormPane {
        layer: fields;
        height: 1fr;
        scrollbar-size: 1 1;
        overflow-x: hidden;
    }
    Form FieldEditor {
        layer: editor;
        height: 1;
        border: none;
        padding: 0;
    }
    """

    class Changed(Message):
        """The value of a field is another one."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Moved(Message):
        """Another field is the current one."""

    def __init__(self, values: Values, choices: Mapping[str, Sequence[str]], *, id: str) -> None:
        """A form.

        Args:
            values: What stands in every field.
            choices: Choices of fields that have others than those that they are described with.
            id: Of the widget.
        """
        super().__init__(id=id)
        self._values = dict(values)
        self._choices = dict(choices)
        self._errors: Mapping[str, str] = {}
        self._hints: Mapping[str, str] = {}
        self._pane = FormPane(1 + max(cell_len(field.label) for field in FIELDS.values()))
        self._editor = FieldEditor(Place.FORM, id="editor")
        self.current = next(iter(FIELDS))
        """Key of the field that is being edited."""

    def compose(self) -> ComposeResult:
        """Lay out the painted fields, and the editor over them."""
        yield self._pane
        yield self._editor

    @property
    def values(self) -> Values:
        """What stands in the fields."""
        self._take_typed()
        return dict(self._values)

    def set_values(self, values: Values) -> None:
        """Put other values into some fields."""
        self._values |= values
        if not is_shown(FIELDS[self.current], self._values):
            self.current = next(key for key, field in FIELDS.items() if is_shown(field, self._values))
        self._go(self.current)

    def set_choices(self, key: str, choices: Sequence[str]) -> None:
        """Offer other values for a field."""
        self._choices[key] = choices

    def show_notes(self, errors: Mapping[str, str], hints: Mapping[str, str]) -> None:
        """Say beside each field what is wrong with it, or its hint."""
        self._errors, self._hints = errors, hints
        self._pane.show(list(self._lines()))

    def note_in_full(self) -> str:
        """What is said beside the current field, where there is no room for all of it; else nothing."""
        note = self._note(FIELDS[self.current])
        return note if len(note) > self._pane.note_room(self.current) else ""

    def go_to(self, key: str) -> None:
        """Make a field the current one, and bring it into view."""
        self._take_typed()
        self._go(key)

    def _go(self, key: str) -> None:
        self.current = key
        self._pane.show(list(self._lines()))
        self._pane.bring_into_view(key)
        if self._choices_of(key):
            self.screen.set_focus(self._pane)
            self._editor.display = False
        else:
            self._editor.display = True
            self._place_editor()
            shown = typed_text(self._values[key])
            if self._editor.value != shown:
                with self.prevent(Input.Changed):
                    self._editor.value = shown
            self._editor.cursor_position = len(shown)
            self.screen.set_focus(self._editor)
        self.post_message(self.Moved())

    def go_by(self, places: int) -> None:
        """Go so many fields further, round the ends."""
        keys = [field.key for field in shown_fields(self._values)]
        self.go_to(keys[(keys.index(self.current) + places) % len(keys)])

    def on_resize(self, event: Resize) -> None:
        """Keep the current field in view, and the editor over it."""
        self._pane.show(list(self._lines()))
        self.call_after_refresh(self._keep_in_view)

    def on_key(self, event: Key) -> None:
        """Take the next choice that begins with the letter that was typed."""
        choices = self._choices_of(self.current)
        if choices and event.character is not None and event.character.isalnum():
            event.stop()
            at = choices.index(self._values[self.current]) if self._values[self.current] in choices else -1
            turned = [*choices[at + 1 :], *choices[: at + 1]]
            letter = event.character.casefold()
            found = next((choice for choice in turned if choice.casefold().startswith(letter)), None)
            if found is not None:
                self._set(self.current, found)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        # The event may be about the field before: what counts is what the editor holds now.
        event.stop()
        self._take_typed()

    @on(FormPane.Turned)
    def _turn(self, message: FormPane.Turned) -> None:
        message.stop()
        self._turn_by(message.by)

    @on(FormPane.Clicked)
    def _point(self, message: FormPane.Clicked) -> None:
        message.stop()
        if message.key == self.current:
            self._turn_by(1)
        self.go_to(message.key)

    @on(FormPane.Scrolled)
    def _scrolled(self, message: FormPane.Scrolled) -> None:
        message.stop()
        self._place_editor()

    def _turn_by(self, places: int) -> None:
        choices, value = self._choices_of(self.current), self._values[self.current]
        if choices:
            at = choices.index(value) if value in choices else -1
            self._set(self.current, choices[(at + places) % len(choices)])

    def _take_typed(self) -> None:
        if self._choices_of(self.current) or not self.is_mounted:
            return
        # A value that cannot be typed, out of a database or a file, stays as it is until it is edited.
        if self._editor.value != typed_text(self._values[self.current]):
            self._set(self.current, self._editor.value)

    def _set(self, key: str, value: str) -> None:
        self._values[key] = value
        self.post_message(self.Changed(key))

    def _keep_in_view(self) -> None:
        self._pane.bring_into_view(self.current)
        self._place_editor()

    def _place_editor(self) -> None:
        region = self._pane.value_region(self.current)
        self._editor.styles.offset = region.offset
        self._editor.styles.width = region.width

    def _choices_of(self, key: str) -> Sequence[str]:
        return self._choices.get(key) or FIELDS[key].choices

    def _note(self, field: FormField) -> str:
        return self._errors.get(field.key) or self._hints.get(field.key) or field.hint

    def _lines(self) -> Iterator[FormLine]:
        for title, fields in GROUPS:
            if title:
                yield FormLine(label=title)
            for field in fields:
                if is_shown(field, self._values):
                    yield from self._lines_of(field)

    def _lines_of(self, field: FormField) -> Iterator[FormLine]:
        note, is_wrong = self._note(field), field.key in self._errors
        value, is_current = self._values[field.key], field.key == self.current
        if field.is_sentence:
            yield FormLine(field.key, field.label, value, is_current=is_current, is_wrong=is_wrong)
            yield FormLine(field.key, note=note, is_wrong=is_wrong)
        else:
            yield FormLine(
                field.key,
                field.label,
                value,
                note,
                field.width,
                is_choice=bool(self._choices_of(field.key)),
                is_current=is_current,
                is_wrong=is_wrong,
            )
