"""Where the user was: kept by database, so that the app opens there again.

It is a convenience. What cannot be read is as if it were not there, and what cannot be written is not kept.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tui.files import replace_file
from tui.paths import state_dir


@dataclass(frozen=True)
class ViewState:
    """What the main screen shows, and where."""

    run: int | None = None
    """Id of the selected run."""

    pane: str = "runs"
    """Which pane has the focus: `runs` or `table`."""

    row: int | None = None
    """Step of the row that the cursor is on; None while the table follows its end."""

    list_hidden: bool = False
    """The list of runs is hidden."""

    chart: str = ""
    """Which figure the strip draws; empty for the first."""

    log_scale: bool | None = None
    """Whether the strip's scale is logarithmic; None where it chooses itself."""

    sort: str = ""
    """Order of the list; empty for the newest first."""

    filter: str = ""
    """Which runs the list shows, as typed."""

    closed: tuple[str, ...] = ()
    """Names of the sessions whose runs are folded away."""

    marked: tuple[int, ...] = ()
    """Ids of the marked runs, in the order in which they were marked."""


_OPTIONAL_NUMBER = (int, type(None))
_TYPES: dict[str, tuple[type, ...]] = {
    "run": _OPTIONAL_NUMBER,
    "pane": (str,),
    "row": _OPTIONAL_NUMBER,
    "list_hidden": (bool,),
    "chart": (str,),
    "log_scale": (bool, type(None)),
    "sort": (str,),
    "filter": (str,),
    "closed": (tuple,),
    "marked": (tuple,),
}
_LISTS: dict[str, type] = {"closed": str, "marked": int}
"""Values that are lists, and the type of what is in them."""


class ViewMemory:
    """The file that keeps the view of one database."""

    def __init__(self, database: Path) -> None:
        self._database = str(database.resolve())
        name = hashlib.sha256(self._database.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.path = state_dir() / "views" / f"{name}.json"
        self._kept: ViewState | None = None

    def load(self) -> ViewState:
        """The view that was saved; the first one where there is none, or where it is damaged."""
        with suppress(OSError, ValueError):
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            self._kept = _checked(stored.get("view") if isinstance(stored, dict) else None)
        return self._kept or ViewState()

    def save(self, view: ViewState) -> None:
        """Keep a view; nothing is written when it is what was kept last."""
        if view != self._kept:
            with suppress(OSError):
                replace_file(self.path, json.dumps({"database": self._database, "view": asdict(view)}))
                self._kept = view


def _checked(stored: object) -> ViewState | None:
    """The view, if every value is of its type."""
    if not isinstance(stored, dict) or set(stored) - set(_TYPES):
        return None
    values = dict(stored)
    # JSON's numbers and truth values are apart, but to Python a truth value is a whole number.
    for name, kind in _LISTS.items():
        listed = values.get(name, [])
        if not isinstance(listed, list) or any(type(each) is not kind for each in listed):
            return None
        values[name] = tuple(listed)
    if any(type(value) not in _TYPES[name] for name, value in values.items()):
        return None
    return ViewState(**values)
