"""The head of the selected run: what it is after, where it stands, what is pending, and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from engine.store.records import RunRecord, Status
from tui.actions import REGISTERED_KEYS
from tui.failure import reason, what_to_do
from tui.numbers import (
    NOT_FINITE,
    duration_text,
    loss_text,
    lr_text,
    norm_text,
    rate_text,
    similarity_text,
)
from tui.text import safe_text
from tui.widgets.badges import MATCH, STATUS_BADGES, TONE_COLOURS, match_sign, status_text
from tui.wrapping import wrapped

_ARROW = " → "
_QUIET = TONE_COLOURS["quiet"]
_MAX_NOTE_LINES = 3
_MIN_BAR = 6
_GAP = "   "


@dataclass(frozen=True)
class HeaderView:
    """All that the header shows."""

    run: RunRecord
    steps_per_second: float | None = None
    """None when it is not known, or no step is being made."""

    pending: tuple[str, ...] = ()
    """What was asked for and not answered yet, oldest first."""

    rejection: str | None = None
    """Why the newest command was rejected."""

    worker: str | None = None
    """What the worker of the run's device is doing; None when there is none."""

    gpu: str | None = None
    """Memory and use of the card that the run is on; None where it has none, or nothing is known."""

    terms: Mapping[str, float | None] = field(default_factory=dict)
    """The newest values of the loss terms."""

    others: int = 0
    """With how many other runs it is stepped together."""

    halt: int | None = None
    """The step after whose row the run pauses, where that was asked for."""

    replay: str | None = None
    """What is said about the replay that the run is shown in; None when it is shown as it is now."""

    keys: Mapping[str, str] = field(default_factory=REGISTERED_KEYS.copy)
    """What is written for the keys of the main screen's actions, by their names."""


class RunHeader(Widget):
    """Four lines of figures and a note, of more than one line where a reason is long."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._view: HeaderView | None = None

    def show(self, view: HeaderView | None) -> None:
        """Show other values; equal ones cost nothing."""
        if view != self._view:
            width = self.content_size.width
            height_before = len(header_lines(self._view, width)) if self._view else 0
            self._view = view
            height = len(header_lines(view, width)) if view else 0
            self.display = view is not None
            self.refresh(layout=height != height_before)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Lines that the current values take."""
        return len(header_lines(self._view, width)) if self._view else 0

    def render(self) -> Content:
        """Paint all lines."""
        if self._view is None:
            return Content("")
        return Content("\n").join(header_lines(self._view, self.content_size.width))


def header_lines(view: HeaderView, width: int) -> list[Content]:
    """The header of a run, fitted to a width in cells."""
    note, tone = _note(view)
    lines = [
        _title(view, width),
        _aim(view.run, width),
        _figures(view, width),
        _progress(view, width),
        *_stops(view, width),
        *(Content.styled(line, TONE_COLOURS[tone]) for line in _wrapped(note, width)),
    ]
    return [line.truncate(max(width, 1), ellipsis=True) for line in lines]


def _title(view: HeaderView, width: int) -> Content:
    run = view.run
    badge = STATUS_BADGES[run.status]
    status = f"{badge.sign} {status_text(run)}"
    title = f"run {run.id}  {run.session}/{run.number}"
    mark = "" if view.replay is None else " REPLAY "
    status = f" {status}" if mark else status
    room = max(width - len(mark) - len(status) - 2, 0)
    title = safe_text(title, limit=room)
    origin = _origin(view, max(room - cell_len(title), 0))
    gap = " " * max(width - cell_len(title) - cell_len(origin) - len(mark) - len(status), 0)
    return Content.assemble(
        (title, "bold"),
        (origin, _QUIET),
        gap,
        (mark, f"bold reverse {TONE_COLOURS['warning']}"),
        (status, f"bold {TONE_COLOURS[badge.tone]}"),
    )


def _origin(view: HeaderView, room: int) -> str:
    """What the run is called, optimises and runs on; what it runs on gives way first."""
    run = view.run
    what = ([run.name] if run.name else []) + [f"{run.loss_name} loss"]
    home, gpu = f"{run.bundle} on {run.device}", [view.gpu] if view.gpu else []
    for parts in ([*what, home, *gpu], [*what, *gpu], [*what, home]):
        line = safe_text("  " + ", ".join(parts))
        if cell_len(line) <= room:
            return line
    return safe_text("  " + ", ".join([*what, home]), limit=room)


def _aim(run: RunRecord, width: int) -> Content:
    """Where z starts, and the sentence that it is to make the model say."""
    room = max(width - len(_ARROW), 2)
    target = safe_text(
        run.target_text, limit=max(room * 2 // 3, room - cell_len(safe_text(run.init, limit=room)))
    )
    init = safe_text(run.init, limit=room - cell_len(target))
    return Content.assemble(init, (_ARROW, _QUIET), (target, "bold"))


def _figures(view: HeaderView, width: int) -> Content:
    run = view.run
    has_steps = run.last_step is not None
    loss = NOT_FINITE if has_steps and run.loss is None else loss_text(run.loss)
    figures = [("loss ", loss), ("sim ", similarity_text(run.similarity)), ("lr ", lr_text(run.lr))]
    figures.append(("|z| ", norm_text(run.z_norm)))
    parts = [_figure(name, value) for name, value in figures]
    match, tone = _match(run)
    terms = [_figure(f"{safe_text(name)} ", loss_text(value)) for name, value in view.terms.items()]
    if len(terms) > 1 and _cells([*parts, *terms]) + len(match) <= width:
        parts[1:1] = terms
    if schedule := run.schedules.get("lr"):
        behind_lr = Content.styled(safe_text(schedule, limit=30), _QUIET)
        if _cells([*parts, behind_lr]) + len(match) <= width:
            parts.insert(-1, behind_lr)
    used = _cells(parts)
    if used + len(match) > width:
        match = match_sign(run.match)
    if used + len(match) <= width:
        parts.append(Content.styled(match, TONE_COLOURS[tone]))
    return Content(_GAP).join(parts)


def _figure(name: str, value: str) -> Content:
    return Content.assemble((name, _QUIET), value)


def _cells(parts: Sequence[Content]) -> int:
    """Cells that figures take with the gaps behind them."""
    return sum(part.cell_length for part in parts) + len(_GAP) * len(parts)


def _match(run: RunRecord) -> tuple[str, str]:
    if run.match and run.first_match_step is not None:
        return f"{MATCH} match, first at step {run.first_match_step}", "good"
    if run.first_match_step is not None:
        return f"matched at step {run.first_match_step}, not now", "warning"
    return ("no match yet" if run.match is not None else ""), "quiet"


def _progress(view: HeaderView, width: int) -> Content:
    run = view.run
    done = run.last_step or 0
    left = f"{run.step_word} {done} of {run.steps} "
    right = ""
    if view.steps_per_second is not None and not run.status.has_ended:
        remaining_s = (run.steps - done) / view.steps_per_second
        right = f" {rate_text(view.steps_per_second)}, {duration_text(remaining_s)} left"
    room = width - len(left) - len(right)
    if room < _MIN_BAR:
        return Content(f"{left}{right}".strip())
    filled = min(room * done // max(run.steps, 1), room)
    tone = TONE_COLOURS[STATUS_BADGES[run.status].tone]
    return Content.assemble(left, ("━" * filled, tone), ("─" * (room - filled), _QUIET), right)


def _stops(view: HeaderView, width: int) -> list[Content]:
    """Where the run will pause by itself, in one line; none where it will not."""
    halt = [] if view.halt is None else [f"pauses after step {view.halt}"]
    breaks = [f"breaks: {', '.join(view.run.break_points)}"] if view.run.break_points else []
    line = safe_text(", ".join(halt + breaks), limit=max(width, 1))
    return [Content.styled(line, _QUIET)] if line else []


def _note(view: HeaderView) -> tuple[str, str]:
    """The most pressing thing to say about a run, and the tone to say it in."""
    run = view.run
    if view.replay is not None:
        return view.replay, "warning"
    if view.pending:
        return "pending: " + ", ".join(view.pending), "warning"
    if view.rejection is not None:
        return "rejected: " + view.rejection, "bad"
    if run.origin != "recorded":
        return "typed in from a publication: it can be looked at, not gone on with", "quiet"
    advice = what_to_do(run, view.keys)
    if why := reason(run):
        return f"{why}; {advice}", "bad"
    if run.status in (Status.QUEUED, Status.LOADING):
        return f"worker of {run.device}: {view.worker or 'not there yet'}", "quiet"
    if run.status is Status.RUNNING and view.others:
        return f"batched with {view.others} other{'s' if view.others > 1 else ''}", "quiet"
    return advice or "", "quiet"


def _wrapped(note: str, width: int) -> list[str]:
    """The note in at most three lines; where it is longer its end stays, which says what to do."""
    if cell_len(shown := safe_text(note)) <= width:
        return [shown]
    room = max(width, 1) * _MAX_NOTE_LINES
    reason, separator, advice = note.rpartition("; ")
    if cell_len(shown) > room and separator:
        advice = safe_text(advice)
        shown = safe_text(reason, limit=max(room - len(advice) - 2 * _MAX_NOTE_LINES, 8)) + "; " + advice
    lines = wrapped([(safe_text(shown, limit=room), "")], max(width, 1))
    return ["".join(text for text, _ in line) for line in lines[:_MAX_NOTE_LINES]]
