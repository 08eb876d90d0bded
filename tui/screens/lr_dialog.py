"""The dialog that sets the learning rate to a value and shows how it was changed before."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from engine.store.records import EventRecord, RunRecord
from tui.moments import moment_text
from tui.numbers import lr_text
from tui.pending import schedule_words
from tui.requests import Requests
from tui.screens.dialog import Dialog, DialogField, Values, Wanted
from tui.spelled import number_or_schedule
from tui.text import fit_text, safe_text

_SHOWN_CHANGES = 6


class LrDialog(Dialog):
    """A learning rate or its schedule, and the newest changes of the run's."""

    title_words: ClassVar[str] = "learning rate"
    accept_words: ClassVar[str] = "sets it"

    def __init__(self, run: RunRecord, requests: Requests, database: Path, proposed: float | None) -> None:
        """`proposed`: what the learning rate will be once all that is pending is done."""
        value = "" if proposed is None else f"{proposed:g}"
        schedule = run.schedules.get("lr")
        goes_on = "; or cosine:0:100" if schedule is None else f", {schedule_words('lr', schedule)}"
        hint = f"in force {lr_text(run.lr)}{goes_on}"
        field = DialogField("lr", "learning rate", value, hint)
        super().__init__(run, requests, [field])
        self._database = database

    def compose_more(self) -> ComposeResult:
        """Room for the changes."""
        yield Static("", id="changes", markup=False)

    def prepare(self) -> list[EventRecord]:
        """Read the changes."""
        import engine.spec  # noqa: F401  # slow, and `check` must not be
        from engine.store.reading import Reader

        with Reader(self._database) as reader:
            return [event for event in reader.events(self.run.id) if event.kind == "lr"]

    def show_prepared(self, content: object) -> None:
        """Show the changes."""
        assert isinstance(content, list)
        self.query_one("#changes", Static).update(Content("\n".join(change_lines(content, time.time()))))

    def check(self, values: Values) -> Wanted:
        """The learning rate, or how it goes on from now."""
        from engine.commands import parse_settings

        new = number_or_schedule("lr", values["lr"], of="lr")
        parse_settings({"lr": new})
        return Wanted("set", {"lr": new}, f"{lr_text(self.run.lr)} → {_said(new)}")


def _said(lr: float | str) -> str:
    return schedule_words("lr", lr) if isinstance(lr, str) else lr_text(lr)


def change_lines(changes: Sequence[EventRecord], now_s: float) -> list[str]:
    """The newest changes, newest first, one line each: step, old → new, when, who."""
    if not changes:
        return ["It was never changed."]
    lines = ["last changes"]
    for change in reversed(changes[-_SHOWN_CHANGES:]):
        step = "" if change.step is None else f"step {change.step}"
        moment = moment_text(change.time, now_s)
        lines.append(
            f"{step:<11}{fit_text(change.detail, 20)}  {moment:<11}  {safe_text(change.who, limit=24)}"
        )
    return lines
