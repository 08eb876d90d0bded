"""What to export of the selected run, the marked ones or their session, as what, and where to."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from engine.errors import UserError
from engine.store.records import RunRecord
from tui.actions import Place, bindings
from tui.text import safe_text
from tui.widgets.badges import TONE_COLOURS
from tui.widgets.field_editor import FieldEditor

if TYPE_CHECKING:
    from tui.app import ExplorerApp

_NOTICE_S = 6.0
_MOST_WORDS = 60

FORMATS: dict[str, str] = {
    ".html": "report for a browser: charts, rows, spec, events",
    ".md": "Markdown: the decoded rows in a table",
    ".csv": "CSV: every row",
    ".jsonl": "JSON lines: every row, and a summary",
    ".parquet": "Parquet: every row, with types",
    ".safetensors": "vectors: every z that was kept",
    ".zip": "bundle: the whole session, to hand it on",
}
"""What the names of files end in, and what is then in them."""

_BUNDLE = ".zip"

_HINTS = (
    (("write",), "write"),
    (("next_subject",), "what"),
    (("previous_format", "next_format"), "format"),
    (("cancel",), "cancel"),
)


@dataclass(frozen=True)
class Subject:
    """What can be exported."""

    words: str
    stem: str
    """What the name of its file begins with."""
    runs: Sequence[int] = ()
    session: str | None = None
    """A whole session, instead of runs."""


def subjects(run: RunRecord, marked: Sequence[int]) -> list[Subject]:
    """What there is to export: the marked runs if there are any, the selected run, its session."""
    title = f"{run.session}/{run.number}"
    of_marks = Subject(f"the {len(marked)} marked runs", "runs-" + "-".join(map(str, marked)), tuple(marked))
    return [
        *([of_marks] if marked else []),
        Subject(f"run {title}", f"run-{run.id}", (run.id,)),
        Subject(f"session {run.session}", _file_name(run.session), session=run.session),
    ]


class ExportRunsScreen(ModalScreen[None]):
    """Asks for a name and writes; stays open, and says why, when it cannot."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.EXPORT_RUNS)

    def __init__(self, database: Path, choices: Sequence[Subject]) -> None:
        super().__init__()
        self._database = database
        self._choices = choices
        self._subject = choices[0]
        self._suffix = next(iter(FORMATS))
        self._stem = ""
        self._is_writing = False
        self._overwritten: str | None = None
        """A name that is taken; the next press overwrites the file."""

    def compose(self) -> ComposeResult:
        """Lay out what, how and where."""
        with Vertical(id="dialog") as box:
            box.border_title = Content("export")
            box.border_subtitle = Content(self.app.keymap.joint_hints(Place.EXPORT_RUNS, _HINTS))
            yield Static(id="subject", markup=False)
            yield Static(id="format", markup=False)
            with Horizontal(classes="field"):
                yield Label("file", markup=False, classes="label")
                yield FieldEditor(Place.EXPORT_RUNS, id="path")
            yield Static(id="outcome", markup=False)

    def on_mount(self) -> None:
        """Begin with a report about the first choice."""
        self._editor.focus()
        self._show()

    def action_next_subject(self) -> None:
        """Export something else."""
        place = self._choices.index(self._subject)
        self._subject = self._choices[(place + 1) % len(self._choices)]
        if self._suffix == _BUNDLE and self._subject.session is None:
            self._suffix = next(iter(FORMATS))
        self._show()

    def action_next_format(self) -> None:
        """Write it as something else."""
        self._change_format(1)

    def action_previous_format(self) -> None:
        """Write it as what comes before."""
        self._change_format(-1)

    async def action_write(self) -> None:
        """Write the file; one that is there, at the second press."""
        typed = self._editor.value.strip()
        if self._is_writing:
            return
        self._is_writing = True
        self._say("writing …")
        try:
            path = await asyncio.to_thread(
                _write, self._database, self._subject, typed, force=typed == self._overwritten
            )
        except _IsThereError:
            self._overwritten = typed
            key = self.app.keymap.keys(Place.EXPORT_RUNS)["write"]
            self._refuse(f"{typed} is there already: {key} overwrites it")
            return
        except UserError as error:
            self._refuse(str(error))
            return
        said = safe_text(f"Wrote {self._subject.words} to {path}")
        self.notify(said, timeout=_NOTICE_S, markup=False)
        self.dismiss()

    def action_cancel(self) -> None:
        """Write nothing; what is being written already will be."""
        if not self._is_writing:
            self.dismiss()

    @on(Input.Changed)
    def _follow_the_name(self, message: Input.Changed) -> None:
        suffix = Path(message.value.strip()).suffix.lower()
        if suffix in FORMATS and suffix != self._suffix:
            self._suffix = suffix
            self._take_session_for_bundle()
            self._show_choices()
        self._say("")

    def _change_format(self, by: int) -> None:
        names = list(FORMATS)
        self._suffix = names[(names.index(self._suffix) + by) % len(names)]
        self._take_session_for_bundle()
        self._show()

    def _take_session_for_bundle(self) -> None:
        if self._suffix == _BUNDLE:
            self._subject = next(subject for subject in self._choices if subject.session is not None)

    def _show(self) -> None:
        """Show the choices, and a name that goes with them: the user's own as far as there is one."""
        typed = Path(self._editor.value.strip())
        is_own = bool(typed.name) and typed.stem != self._stem
        self._stem = self._subject.stem
        stem = typed.stem if is_own else self._stem
        self._editor.value = str(typed.parent / f"{stem}{self._suffix}")
        self._editor.cursor_position = len(self._editor.value) - len(self._suffix)
        self._show_choices()

    def _show_choices(self) -> None:
        for key, label, words in (
            ("#subject", "what", safe_text(self._subject.words, limit=_MOST_WORDS)),
            ("#format", "format", FORMATS[self._suffix]),
        ):
            line = Content.assemble((f"{label:<8}", TONE_COLOURS["quiet"]), words)
            self.query_one(key, Static).update(line)

    def _refuse(self, reason: str) -> None:
        self._is_writing = False
        self._say(reason, is_wrong=True)

    def _say(self, text: str, *, is_wrong: bool = False) -> None:
        line = self.query_one("#outcome", Static)
        line.set_class(is_wrong, "-refused")
        line.update(safe_text(text))

    @property
    def _editor(self) -> FieldEditor:
        return self.query_one(FieldEditor)


class _IsThereError(Exception):
    """The file is there already."""


def _write(database: Path, subject: Subject, typed: str, *, force: bool) -> Path:
    from engine.export import format_of, runs_of_session, write_file
    from engine.store.reading import Reader

    if not typed:
        raise UserError("to: give the name of a file")
    try:
        path = Path(typed).expanduser()
    except RuntimeError:
        raise UserError(f"to: {typed}: there is no such user") from None
    is_bundle = path.suffix.lower() == _BUNDLE
    kind = None if is_bundle else format_of(path)
    if path.is_file() and not force:
        raise _IsThereError
    if kind is None:
        from engine.sharing.packing import pack_session

        assert subject.session is not None
        pack_session(database, subject.session, path, force=force)
        return path
    with Reader(database) as reader:
        runs = subject.runs if subject.session is None else runs_of_session(reader, subject.session)
        write_file(reader, runs, path, kind, force=force)
    return path


def _file_name(session: str) -> str:
    """A session's name as that of a file: no separator, nothing hidden, nothing that a shell takes apart."""
    return re.sub(r"[^\w.-]+", "-", session, flags=re.ASCII).strip("-.")[:60] or "session"
