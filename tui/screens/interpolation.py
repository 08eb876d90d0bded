"""Points between two z's: the dialog that asks for the other one, and the list of what was decoded."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.message import Message

from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.records import RunRecord, TaskRecord
from engine.tasks import PATHS, check_task
from tui.hit_text import cut
from tui.requests import Control, Refused, Requests
from tui.row_names import row_of
from tui.screens.dialog import Dialog, DialogField, Values, Wanted, whole_number
from tui.screens.vectors import VectorsScreen
from tui.text import ELLIPSIS, safe_text
from tui.widgets.line_table import LineTable
from tui.widgets.text_lines import TextLines
from tui.wrapping import Line, indented, wrapped

if TYPE_CHECKING:
    from engine.vector_path import Point
    from tui.app import ExplorerApp

_LOOK_S = 0.2
_POINTS = 9


class InterpolationDialog(Dialog):
    """The other end, how many points, and which way."""

    title_words: ClassVar[str] = "points between two z's"
    accept_words: ClassVar[str] = "decodes them"

    def __init__(self, run: RunRecord, requests: Requests, step: int, other: str) -> None:
        """`step`: the row at the one end; `other`: what is proposed for the other, as RUN:STEP."""
        fields = [
            DialogField("to", "to", other, "RUN:STEP, of any run of the same bundle"),
            DialogField("points", "points", str(_POINTS), "both ends among them"),
            DialogField("path", "path", PATHS[0], " or ".join(PATHS)),
        ]
        super().__init__(run, requests, fields)
        self._step = step

    def check(self, values: Values) -> Wanted:
        """The arguments of the task."""
        arguments = check_task(
            "interpolate",
            None,
            {
                "from": [self.run.id, self._step],
                "to": list(row_of("to", values["to"])),
                "points": whole_number("points", values["points"]),
                "path": values["path"],
            },
        )
        return Wanted("interpolate", arguments, f"from {self.run.id}:{self._step} to {values['to']}")


class InterpolationAsked(Message):
    """The task is in the database."""

    def __init__(self, task: int) -> None:
        super().__init__()
        self.task = task


class InterpolationScreen(VectorsScreen):
    """Asks for an interpolation, and shows its points when they are there; closing it gives it up."""

    def __init__(self, database: Path, requests: Requests, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self._database = database
        self._requests = requests
        self._arguments = arguments
        self._points: list[Point] = []
        self._going_on: int | None = None

    def compose_more(self) -> ComposeResult:
        """Room for the whole texts of a point."""
        yield TextLines(id="vectors-detail")

    def on_mount(self) -> None:
        """Ask for it."""
        self.query_one(TextLines).can_focus = False
        self._say("asking")
        self._requests.submit(self, self._ask, Refused)

    def on_unmount(self) -> None:
        """Have it given up if it is not done."""
        if self._going_on is not None:
            give_up = partial(_give_up, self._database, self._going_on)
            self._requests.submit(self.app, give_up, Refused)

    @on(Refused)
    def _say_why_not(self, message: Refused) -> None:
        self._say(message.reason)

    @on(InterpolationAsked)
    def _begin_to_look(self, message: InterpolationAsked) -> None:
        self._going_on = message.task
        self._look(message.task)

    @on(LineTable.Moved)
    def _show_detail(self) -> None:
        if self.table.cursor is not None and self._points:
            box, point = self.query_one(TextLines), self._points[self.table.cursor]
            box.show(lambda width: _detail(point, width, box.size.height))

    @work(exclusive=True)
    async def _look(self, number: int) -> None:
        while True:
            try:
                task = await asyncio.to_thread(_read, self._database, number)
                if task.has_ended:
                    self._going_on = None
                    await self._show(task)
                    return
            except UserError as error:
                self._say(str(error))
                return
            if task.status == "pending":
                self._say("waits for the worker")
            else:
                self._say(f"{task.done} of {task.total} points" if task.total else "loading models")
            await asyncio.sleep(_LOOK_S)

    async def _show(self, task: TaskRecord) -> None:
        if task.result is None:
            self._say(f"{task.status}: {task.error}" if task.error else task.status)
            return
        from engine.vector_path import points_of

        self._points = points_of(task.result)
        self._say(f"{len(self._points)} points, {self._arguments['path']}")
        keys = [point.t for point in self._points]
        self.table.show(self._points, keys, self._line, header=_header)

    def _ask(self, control: Control) -> Message:
        from engine.vector_path import read_plan

        with Reader(self._database) as reader:
            read_plan(reader, self._arguments)
        run = self._arguments["from"][0]
        task = control.request_task(self._database, "interpolate", run=run, arguments=self._arguments)
        return InterpolationAsked(task)

    def _say(self, text: str) -> None:
        ends = ("{}:{}".format(*self._arguments[end]) for end in ("from", "to"))
        shown = f"from {' to '.join(ends)}: {text}"
        self.say(shown)

    def _line(self, index: int, width: int) -> Line:
        from tui.vector_tables import point_numbers

        point = self._points[index]
        head = f" {point_numbers(point)}  "
        room = max(width - len(head) - 1, 0)
        tone = "good" if point.match else ""
        return [(head, tone), (safe_text(point.decoded_prediction, limit=room), tone)]


def open_interpolation(
    app: "ExplorerApp", database: Path, requests: Requests, run: RunRecord, step: int, first: int
) -> None:
    """Ask for the other end, and then for the points.

    Args:
        app: The app.
        database: Where the rows are.
        requests: Who asks for the points.
        run: The run at the one end.
        step: Its row.
        first: The run's first row, which is proposed for the other end.
    """
    proposed = first if step != first or run.last_step is None else run.last_step

    def show(wanted: Wanted | None) -> None:
        if wanted is not None:
            app.push_screen(InterpolationScreen(database, requests, wanted.arguments))

    app.push_screen(InterpolationDialog(run, requests, step, f"{run.id}:{proposed}"), show)


def _header(width: int) -> Line:
    from tui.vector_tables import POINT_HEADER

    return [(f" {POINT_HEADER}  prediction", "")]


def _detail(point: "Point", width: int, height: int) -> list[Line]:
    """Both texts under their titles; where they are too long together, the longer one gives way first."""
    room = max(width - 2, 1)
    prediction, z = (
        wrapped([(safe_text(text), tone)], room)
        for text, tone in ((point.decoded_prediction, "good" if point.match else ""), (point.decoded_z, ""))
    )
    for_texts = max(height - 2, 2)
    for_z = min(len(z), max(for_texts - len(prediction), for_texts // 2))
    return [
        [("prediction", "heading")],
        *indented(_first_lines(prediction, for_texts - for_z, room), 2),
        [("z", "heading")],
        *indented(_first_lines(z, for_z, room), 2),
    ]


def _first_lines(lines: list[Line], count: int, width: int) -> list[Line]:
    """The first lines; `…` at the end where there are more."""
    if len(lines) <= count:
        return lines
    *kept, last = lines[:count]
    return [*kept, cut([*last, (ELLIPSIS, "")], width)]


def _give_up(database: Path, task: int, control: Control) -> None:
    with suppress(UserError):  # it has ended meanwhile
        control.cancel_task(database, task)


def _read(database: Path, task: int) -> TaskRecord:
    with Reader(database) as reader:
        return reader.task(task)
