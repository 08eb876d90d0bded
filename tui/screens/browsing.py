"""What the main screen does with runs that are there: find them among all sessions, name and delete them."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from textual import on

from engine.store.records import RunRecord
from tui.actions import Place
from tui.deletions import Deletable, Deletions, Removed, Restored
from tui.live import DatabaseWatcher
from tui.screens.steering import SteeringScreen
from tui.text import safe_text
from tui.widgets.run_list import RunList
from tui.widgets.trajectory_table import TrajectoryTable

if TYPE_CHECKING:
    from tui.screens.sessions import Destination

_TITLE_CELLS = 40


class BrowsingScreen(SteeringScreen):
    """A steering screen with a list of runs, and the table of the selected one."""

    _watcher: DatabaseWatcher

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.deletions = Deletions(self._database, self._requests)
        """What was deleted since the start."""

        self._with_archived = False

    def show_archived(self, with_archived: bool) -> None:
        """Show the runs of archived sessions in the list, or hide them again."""
        self._with_archived = with_archived
        self._watcher.show_archived(with_archived)

    async def action_browse(self) -> None:
        """Show all sessions."""
        await asyncio.to_thread(import_module, "tui.screens.sessions")  # not needed for the first paint
        from tui.screens.sessions import SessionsScreen

        screen = SessionsScreen(self._database, self._requests, with_archived=self._with_archived)
        self.app.push_screen(screen, self._go_to)

    def _go_to(self, destination: "Destination | None") -> None:
        if destination is None:
            return
        if destination.place is not None:
            self._list.select_run(destination.place.run)
            self._table.restore_place(destination.place.run, destination.place.step)
            self._table.focus()
        elif destination.session is not None:
            self._list.show_session(destination.session)
            self._list.focus()

    @on(RunList.DeletionAsked)
    def _delete(self, message: RunList.DeletionAsked) -> None:
        runs = self._list.runs
        if message.session is None:
            record = next((view.record for view in runs if view.record.id == message.run), None)
            if record is not None:
                self.deletions.delete(Deletable("run", record.id, f"{record.session}/{record.number}"), self)
            return
        self.deletions.delete_session(message.session, self)

    @on(RunList.RestoreAsked)
    def _restore(self) -> None:
        self.deletions.restore(self)

    @on(RunList.NameAsked)
    def _rename(self) -> None:
        if run := self.selected_run:
            self._ask_name(run)

    def _ask_name(self, run: RunRecord) -> None:
        from tui.screens.naming import NamingScreen, Values

        def save(values: Values) -> None:
            from engine.store.sessions import rename_and_move_run, rename_run

            name, session = values["name"].strip() or None, values["session"].strip()
            if session != run.session:
                rename_and_move_run(self._database, run.id, name, session)
            elif name != run.name:
                rename_run(self._database, run.id, name)

        fields = [("name", run.name or ""), ("session", run.session)]
        self.app.push_screen(
            NamingScreen(
                f"{run.session}/{run.number}",
                fields,
                self._requests,
                save,
                hint="another session: the run moves there, and the session is made if there is none",
            )
        )

    @on(Removed)
    def _removed(self, message: Removed) -> None:
        self.say_removed(message.item, self.app.keymap.keys(Place.RUNS)["undo"])

    @on(Restored)
    def _restored(self, message: Restored) -> None:
        self.say_restored(message.item)

    def say_removed(self, item: Deletable, key: str) -> None:
        """Say what is deleted, and how it comes back."""
        title = safe_text(item.title, limit=_TITLE_CELLS)
        self.notify(f"Deleted {item.kind} {title}. {key} brings it back until you leave.", markup=False)

    def say_restored(self, item: Deletable) -> None:
        """Say what is back, and show it."""
        if item.kind == "run":
            self._list.select_run(item.id)
        self.notify(
            f"{item.kind.capitalize()} {safe_text(item.title, limit=_TITLE_CELLS)} is back", markup=False
        )

    @property
    def _list(self) -> RunList:
        return self.query_one("#runs", RunList)

    @property
    def _table(self) -> TrajectoryTable:
        return self.query_one("#table", TrajectoryTable)
