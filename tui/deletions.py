"""What was deleted on this screen: brought back one after the other, and removed for good on leaving."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from textual.message import Message
from textual.message_pump import MessagePump

from engine.errors import UserError
from tui.requests import Control, Refused, Requests
from tui.text import safe_text


@dataclass(frozen=True)
class Deletable:
    """A run or a session, and what it is called."""

    kind: str
    """run or session"""
    id: int
    title: str


class Removed(Message):
    """Something is deleted."""

    def __init__(self, item: Deletable) -> None:
        super().__init__()
        self.item = item


class Restored(Message):
    """Something that was deleted is back."""

    def __init__(self, item: Deletable) -> None:
        super().__init__()
        self.item = item


class Deletions:
    """Deletes and restores on the thread of requests; whoever asks is told there what became of it."""

    def __init__(self, database: Path, requests: Requests) -> None:
        self._database = database
        self._requests = requests
        self._deleted: list[Deletable] = []

    def delete(self, item: Deletable, to: MessagePump) -> None:
        """Delete a run or a session; `to` gets Removed or Refused."""
        self._requests.submit(to, lambda _: self._delete(item), Refused)

    def delete_session(self, name: str, to: MessagePump) -> None:
        """Delete the session of a name; `to` gets Removed or Refused."""

        def delete(_: Control) -> Message:
            from engine.store.reading import Reader

            with Reader(self._database) as reader:
                session = reader.session(name)
            return self._delete(Deletable("session", session.id, name))

        self._requests.submit(to, delete, Refused)

    def restore(self, to: MessagePump) -> None:
        """Bring the last deleted back; `to` gets Restored or Refused."""

        def restore(_: Control) -> Message:
            from engine.store import sessions

            if not self._deleted:
                return Refused("Nothing was deleted since the start that could be brought back")
            item = self._deleted[-1]
            (sessions.restore_run if item.kind == "run" else sessions.restore_session)(
                self._database, item.id
            )
            self._deleted.pop()
            return Restored(item)

        self._requests.submit(to, restore, Refused)

    def _delete(self, item: Deletable) -> Message:
        from engine.store import sessions

        (sessions.delete_run if item.kind == "run" else sessions.delete_session)(self._database, item.id)
        self._deleted.append(item)
        return Removed(item)

    def finish(self) -> Iterator[str]:
        """Remove for good what is deleted, once nobody can ask for anything any more; lines about that."""
        from engine.store.sessions import is_purge_due, purge

        runs = [item.id for item in self._deleted if item.kind == "run"]
        sessions = [item.id for item in self._deleted if item.kind == "session"]
        try:
            if not (self._deleted or is_purge_due(self._database)):
                return
            yield "Freeing the space of what was deleted …"
            purge(self._database, runs=runs, sessions=sessions)
        except UserError as error:
            yield safe_text(f"{error}; what was deleted is removed when the explorer is left the next time")
        except KeyboardInterrupt:
            yield "What is left of it is removed when the explorer is left the next time."
