"""Which run ever said it: a search over all decoded texts, while it is typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from tui.actions import Place, bindings
from tui.hit_text import excerpt
from tui.requests import Control, Refused, Requests
from tui.run_names import home_text
from tui.text import fit_text, safe_text
from tui.widgets.field_editor import FieldEditor
from tui.widgets.line_table import LineTable
from tui.wrapping import Line

if TYPE_CHECKING:
    from engine.store.searching import TextHit
    from tui.app import ExplorerApp

_HINTS = (
    (("open_hit",), "go there"),
    (("previous_hit", "next_hit"), "move"),
    (("page_up", "page_down"), "page"),
    (("close",), "back to the sessions"),
)

_HOME_SHARE = 4
"""Of so many parts of the width, one at most is for the name of the run."""

_WIDEST_HOME = 60
_STEP, _KIND = 6, 10
"""Cells of columns."""


@dataclass(frozen=True)
class RowPlace:
    """A row of a run."""

    run: int
    step: int


class Found(Message):
    """What was looked for was found, or not."""

    def __init__(self, query: str, hits: "Sequence[TextHit]") -> None:
        super().__init__()
        self.query = query
        self.hits = hits


class SearchScreen(Screen[RowPlace | None]):
    """Returns the row to go to, or None when it was closed."""

    app: "ExplorerApp"

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.SEARCH)

    def __init__(self, database: Path, requests: Requests, *, with_archived: bool) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self._with_archived = with_archived
        self._hits: Sequence[TextHit] = ()
        self._asked = ""
        self._is_searching = False

    def compose(self) -> ComposeResult:
        """Lay out the line, what is found, and the keys."""
        yield FieldEditor(Place.SEARCH, id="query")
        yield Static(id="search-title", markup=False)
        yield LineTable(id="hits")
        hints = self.app.keymap.joint_hints(Place.SEARCH, _HINTS)
        yield Static(safe_text(hints), markup=False, id="search-keys")

    def on_mount(self) -> None:
        """Let the user type."""
        self._editor.placeholder = 'words, a begin*, "words that stand together"'
        self._editor.focus()
        self._say("Search all texts that were ever decoded")

    @on(Input.Changed)
    def _type(self) -> None:
        if not self._is_searching:  # else the answer that is on its way starts the next search
            self._search()

    def _search(self) -> None:
        query = self._editor.value
        if query == self._asked:
            return
        self._asked = query
        self._is_searching = True

        def find(_: Control) -> Message:
            from engine.store.reading import Reader
            from engine.store.searching import search

            with Reader(self._database) as reader:
                return Found(query, search(reader, query, with_archived=self._with_archived))

        self._requests.submit(self, find, Refused)

    @on(Found)
    def _show(self, message: Found) -> None:
        from engine.store.searching import MOST_HITS

        self._is_searching = False
        self._hits = message.hits
        runs = len({hit.run for hit in self._hits})
        if not message.query.strip():
            self._say("Search all texts that were ever decoded")
        elif not self._hits:
            self._say("No run ever decoded to that")
        else:
            first = "first " if len(self._hits) == MOST_HITS else ""
            self._say(f"Said by {first}{runs} run{'' if runs == 1 else 's'}, newest first")
        widest = max((cell_len(_home(hit, _WIDEST_HOME)) for hit in self._hits), default=0)

        def line(index: int, width: int) -> Line:
            return _hit_line(self._hits[index], min(widest, width // _HOME_SHARE), width)

        def header(width: int) -> Line:
            home = fit_text("run", min(widest, width // _HOME_SHARE))
            return [(f" {home}  {'step':>{_STEP}}  {'of':<{_KIND}}  text" if self._hits else "", "")]

        self._table.show(self._hits, [(hit.run, hit.kind) for hit in self._hits], line, header=header)
        self._search()

    @on(Refused)
    def _refused(self, message: Refused) -> None:
        self._is_searching = False
        self._say(message.reason, is_wrong=True)

    def action_open_hit(self) -> None:
        """Go to the run, at the row."""
        if (index := self._table.cursor) is not None and index < len(self._hits):
            self.dismiss(RowPlace(self._hits[index].run, self._hits[index].step))

    @on(LineTable.Opened)
    def _open(self) -> None:
        self.action_open_hit()

    def action_previous_hit(self) -> None:
        """Move up."""
        self._table.move(-1)

    def action_next_hit(self) -> None:
        """Move down."""
        self._table.move(1)

    def action_page_up(self) -> None:
        """Move up a screenful."""
        self._table.move_page(-1)

    def action_page_down(self) -> None:
        """Move down a screenful."""
        self._table.move_page(1)

    def action_close(self) -> None:
        """Close."""
        self.dismiss(None)

    def _say(self, text: str, *, is_wrong: bool = False) -> None:
        title = self.query_one("#search-title", Static)
        title.set_class(is_wrong, "-refused")
        title.update(safe_text(text))

    @property
    def _editor(self) -> FieldEditor:
        return self.query_one(FieldEditor)

    @property
    def _table(self) -> LineTable:
        return self.query_one(LineTable)


def _hit_line(hit: "TextHit", home_width: int, width: int) -> Line:
    more = f" +{hit.texts - 1}" if hit.texts > 1 else ""
    home = fit_text(_home(hit, home_width), home_width)
    head = f" {home}  {hit.step:>{_STEP}}  {hit.kind:<{_KIND}}  "
    text = excerpt(hit.text, hit.spans, max(width - cell_len(head) - len(more) - 1, 1))
    return [(head, "quiet"), *text, (more, "quiet")]


def _home(hit: "TextHit", width: int) -> str:
    return home_text(hit.session, hit.number, width)
