"""How the main screen begins runs: by the form, as the published experiment, as forks; and their workers."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message

from engine.store.records import RunRecord
from tui.news import WorkerWanted
from tui.requests import Control, Refused
from tui.screens.browsing import BrowsingScreen
from tui.trajectory import Trajectory

if TYPE_CHECKING:
    from tui.form_material import FormMaterial


class RunQueued(Message):
    """A run was saved and waits for its worker."""

    def __init__(self, run: int) -> None:
        super().__init__()
        self.run = run


class FormReady(Message):
    """What the form for a new run needs is imported, and what it can be filled from is read."""

    def __init__(self, material: "FormMaterial") -> None:
        super().__init__()
        self.material = material


class FormRefused(Refused):
    """The form cannot be opened."""


class StartingScreen(BrowsingScreen):
    """A browsing screen that begins runs."""

    _trajectory: Trajectory

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._is_form_coming = False
        self._queued: set[int] = set()
        """Ids of the runs that were queued on this screen."""

    def action_new_run(self) -> None:
        """Open the form for a new run."""
        if not self._is_form_coming:
            self._is_form_coming = True
            run = self.selected_run
            bundle = self.app.settings.bundle
            prepare = partial(_prepare_form, self._database, run.id if run else None, bundle)
            self._requests.submit(self, prepare, FormRefused)

    @on(FormRefused)
    def _form_refused(self) -> None:
        self._is_form_coming = False

    @on(FormReady)
    def _open_form(self, message: FormReady) -> None:
        from tui.screens.new_run import NewRunScreen

        self._is_form_coming = False
        form = NewRunScreen(self._database, self._requests, message.material)
        self.app.push_screen(form, self._select_queued)

    def action_run_published(self) -> None:
        """Queue the published experiment, on the bundle that the user has set."""
        bundle = self.app.settings.bundle

        def queue(control: Control) -> Message:
            from engine.spec import parse_spec

            return RunQueued(control.queue_run(self._database, parse_spec(bundle=bundle)))

        self._requests.submit(self, queue, Refused)

    async def action_fork(self) -> None:
        """Fork the selected run from the row that the cursor is on."""
        if run := self._selected_or_say():
            last, place = self._trajectory.last_step, self._table.place
            if last is None:
                self._say(f"run {run.id}: has no rows yet: there is nothing to fork")
            else:
                await self.fork(run, last if place is None else place)

    async def fork(self, run: RunRecord, step: int) -> None:
        """Open the form for a fork from a row, whatever screen stands over this one."""
        from tui.screens.forking import open_fork_form

        await open_fork_form(self.app, self._database, self._requests, run, step, self._select_queued)

    @on(RunQueued)
    def _select_new(self, message: RunQueued) -> None:
        self._select_queued(message.run)

    def _select_queued(self, run: int | None) -> None:
        if run is not None:
            self._queued.add(run)
            self._list.select_run(run)
            self._list.focus()

    @on(WorkerWanted)
    def _want_worker(self, message: WorkerWanted) -> None:
        def start(control: Control) -> None:
            control.ensure_worker(self._database, message.device)

        self._requests.submit(self, start, Refused)


def _prepare_form(database: Path, selected: int | None, bundle: str, _: Control) -> Message:
    """Import and read on this thread, which may take its time."""
    from tui.form_material import read_material
    from tui.screens import new_run  # noqa: F401

    return FormReady(read_material(database, selected, bundle))
