"""Dialogs that ask for a number of steps: how many more, up to which, and how many to add."""

from typing import ClassVar

from engine.commands import parse_extension, parse_halt
from engine.store.records import RunRecord
from tui.requests import Requests
from tui.screens.dialog import Dialog, DialogField, Values, Wanted, whole_number


class MoreStepsDialog(Dialog):
    """So many rows more, then pause."""

    title_words: ClassVar[str] = "some steps, then pause"
    accept_words: ClassVar[str] = "goes on"

    def __init__(self, run: RunRecord, requests: Requests, steps: int) -> None:
        """`steps`: what to propose."""
        field = DialogField("steps", "steps", str(steps), _progress(run))
        super().__init__(run, requests, [field])

    def check(self, values: Values) -> Wanted:
        """How many."""
        arguments = {"steps": whole_number("steps", values["steps"])}
        halt = parse_halt(arguments, next_step=_next_step(self.run), steps=self.run.steps)
        if halt is not None and halt.step == self.run.steps:
            return Wanted("resume", arguments, f"goes on to its last step, {halt.step}")
        return Wanted("resume", arguments, f"goes on for {arguments['steps']} more, then pauses")


class UntilStepDialog(Dialog):
    """Go on until a row is there, then pause."""

    title_words: ClassVar[str] = "on to a step, then pause"
    accept_words: ClassVar[str] = "goes on"

    def __init__(self, run: RunRecord, requests: Requests) -> None:
        super().__init__(run, requests, [DialogField("step", "until step", "", _progress(run))])

    def check(self, values: Values) -> Wanted:
        """Which step."""
        arguments = {"until": whole_number("step", values["step"])}
        parse_halt(arguments, next_step=_next_step(self.run), steps=self.run.steps)
        return Wanted("resume", arguments, f"pauses when the row of step {arguments['until']} is there")


class ExtendDialog(Dialog):
    """Add steps to what the run was asked for."""

    title_words: ClassVar[str] = "more steps than it was asked for"
    accept_words: ClassVar[str] = "adds them"

    def __init__(self, run: RunRecord, requests: Requests, steps: int) -> None:
        """`steps`: what to propose."""
        field = DialogField("steps", "steps to add", str(steps), _progress(run))
        super().__init__(run, requests, [field])

    def prepare(self) -> None:
        """Import what checks the number."""
        from engine import spec  # noqa: F401

    def check(self, values: Values) -> Wanted:
        """How many."""
        arguments = {"steps": whole_number("steps", values["steps"])}
        total = parse_extension(arguments, steps=self.run.steps)
        return Wanted("extend", arguments, f"{self.run.steps} → {total} steps")


def _next_step(run: RunRecord) -> int:
    return 0 if run.last_step is None else run.last_step + 1


def _progress(run: RunRecord) -> str:
    return f"step {run.last_step or 0} of {run.steps} is reached"
