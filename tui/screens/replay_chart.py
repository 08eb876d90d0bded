"""The figure of a replay on the whole screen: it moves with the replay, and the replay's keys work in it."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from tui.actions import Place, at, binding_id
from tui.curves import Chart, Charted
from tui.screens.chart import ChartScreen
from tui.widgets.scrubber import Marks, Scrubber, ScrubberView

_REPLAY_HINTS = (
    (("play",), "play"),
    (("slower", "faster"), "speed"),
    (("row_before", "row_after"), "step"),
    (("go_to_step",), "to a step"),
)
_CHART_HINTS = ("next_chart", "toggle_log", "close")


def _of_the_replay() -> list[BindingType]:
    """The keys of the replay, which come before those of the chart; leaving is the chart's own."""
    return [
        Binding(
            action.keys,
            f"in_replay('{action.name}')",
            action.label,
            show=False,
            priority=True,
            id=binding_id(action),
        )
        for action in at(Place.REPLAY)
        if action.name != "close"
    ]


class ReplayChartScreen(ChartScreen):
    """Stands over a replay and shows it as far as it has come."""

    BINDINGS: ClassVar[list[BindingType]] = _of_the_replay()

    def __init__(
        self,
        database: Path,
        replay: Screen[None],
        run: int,
        charted: Callable[[], Charted],
        chart: Chart,
        *,
        is_log: bool | None,
        stay: Callable[[], None],
    ) -> None:
        """Show a figure of a replay.

        Args:
            database: Where the values are read.
            replay: What carries out the replay's keys.
            run: Which run is replayed.
            charted: Gives what there is to draw at the row that is shown now.
            chart: The figure to begin with.
            is_log: Whether its scale is logarithmic; None: where the values call for it.
            stay: Called when something covers the chart: nobody sees it then.
        """
        super().__init__(database, run, charted, chart, is_log=is_log)
        self._replay = replay
        self._stay = stay

    def compose_more(self) -> ComposeResult:
        """The bar of the replay."""
        yield Scrubber(id="scrubber")

    def hints(self) -> str:
        """Keys of the replay, then of the chart."""
        keymap = self.app.keymap
        of_replay = keymap.joint_hints(Place.REPLAY, _REPLAY_HINTS)
        return f"{of_replay}  {keymap.hints(Place.CHART, _CHART_HINTS)}"

    def on_screen_suspend(self) -> None:
        """What covers the chart stops the replay; closing the chart does not."""
        if self in self.app.screen_stack:
            self._stay()

    async def action_in_replay(self, name: str) -> None:
        """Do what a key does in the replay."""
        await self.app.run_action(name, self._replay)

    def follow(self, view: ScrubberView, marks: Marks) -> None:
        """Show another row."""
        for bar in self.query(Scrubber):  # none before the first paint
            bar.show(view, marks)
            self.look()

    @on(Scrubber.Grabbed)
    @on(Scrubber.Sought)
    @on(Scrubber.Released)
    def _hand_on(self, message: Message) -> None:
        message.stop()
        self._replay.post_message(message)
