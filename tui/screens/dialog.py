"""Dialogs about the selected run: a title, fields checked while typing, a line for what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from engine.errors import UserError
from engine.store.records import RunRecord
from tui.actions import Place, bindings
from tui.requests import Refused, Requests
from tui.text import safe_text

if TYPE_CHECKING:
    from tui.app import ExplorerApp

Values = Mapping[str, str]
"""What stands in the fields, by their keys."""


@dataclass(frozen=True)
class DialogField:
    """A field: what stands before it, what stands in it at first, and what is said beside it."""

    key: str
    label: str
    value: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Wanted:
    """What to ask of the worker, and what that comes to in a few words."""

    kind: str
    arguments: Mapping[str, Any]
    outcome: str = ""


class DialogFields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields; the arrows go from one to the next, and what has the focus is in view."""


class Prepared(Message):
    """What a dialog's checks import is imported, and what it shows has been read."""

    def __init__(self, content: object) -> None:
        super().__init__()
        self.content = content


class Dialog(ModalScreen[Wanted | None]):
    """Returns what to ask for, or None when it was closed."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.DIALOG)

    title_words: ClassVar[str]
    accept_words: ClassVar[str]
    """What the key does that accepts."""

    def __init__(self, run: RunRecord, requests: Requests, fields: Sequence[DialogField]) -> None:
        super().__init__()
        self.run = run
        self.fields = fields
        self._requests = requests
        self._is_prepared = False
        self._accepts_when_prepared = False

    def check(self, values: Values) -> Wanted:
        """What the fields ask for; called once `prepare` has been.

        Raises:
            UserError: something in them is wrong.
        """
        raise NotImplementedError

    def prepare(self) -> object:
        """Import what `check` needs and read what is to be shown; on a thread, while the dialog is open."""
        return None

    def show_prepared(self, content: object) -> None:
        """Show what `prepare` returned."""

    def compose_more(self) -> ComposeResult:
        """Lay out what stands under the fields."""
        yield from ()

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        with Vertical(id="dialog") as box:
            title = f"{self.run.session}/{self.run.number}: {self.title_words}"
            box.border_title = Content(safe_text(title, limit=60))
            keys = self.app.keymap.keys(Place.DIALOG)
            box.border_subtitle = Content(f"{keys['accept']} {self.accept_words}, {keys['close']} closes")
            with DialogFields(id="dialog-fields"):
                for field in self.fields:
                    with Horizontal(classes="field"):
                        yield Label(field.label, markup=False, classes="label")
                        yield Input(field.value, compact=True, id=field.key)
                        yield Static(safe_text(field.hint), markup=False, classes="hint")
            yield from self.compose_more()
            yield Static(id="outcome", markup=False)

    def on_mount(self) -> None:
        """Start what takes longer than a key press may."""
        self._requests.submit(self, lambda _: Prepared(self.prepare()), Refused)

    @on(Prepared)
    def _start_checking(self, message: Prepared) -> None:
        self._is_prepared = True
        self.show_prepared(message.content)
        if self._accepts_when_prepared:
            self.action_accept()
        else:
            self._check()

    @on(Refused)
    def _say_why_not(self, message: Refused) -> None:
        self._say(message.reason, is_wrong=True)

    @on(Input.Changed)
    def _check(self) -> None:
        """Say what is wrong, or what would be asked for."""
        if not self._is_prepared:
            return
        try:
            self._say(self.check(self.values).outcome)
        except UserError as error:
            is_touched = any(field.value != self.values[field.key] for field in self.fields)
            self._say(str(error) if is_touched else "", is_wrong=True)

    @on(Input.Submitted)
    def _submit(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        """Close with what the fields ask for, unless something is wrong."""
        if not self._is_prepared:
            self._accepts_when_prepared = True
            return
        try:
            self.dismiss(self.check(self.values))
        except UserError as error:
            self._say(str(error), is_wrong=True)

    def action_close(self) -> None:
        """Close; nothing is asked for."""
        self.dismiss(None)

    def action_move_up(self) -> None:
        """Move to the field above."""
        self.focus_previous(Input)

    def action_move_down(self) -> None:
        """Move to the field below."""
        self.focus_next(Input)

    @property
    def values(self) -> dict[str, str]:
        """What stands in the fields."""
        return {field.key: self.query_one(f"#{field.key}", Input).value.strip() for field in self.fields}

    def _say(self, text: str, *, is_wrong: bool = False) -> None:
        line = self.query_one("#outcome", Static)
        line.set_class(is_wrong, "-refused")
        if safe_text(text) != str(line.content):
            line.update(safe_text(text))


def whole_number(field: str, text: str) -> int:
    """The whole number that was typed; which ones are allowed is for the engine to say.

    Raises:
        UserError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{field}: {text[:20] or 'empty'}: should be a whole number") from None
