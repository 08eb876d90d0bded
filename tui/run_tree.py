"""Sessions, their runs, and forks under their parents, as lines of a list."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from engine.store.records import RunRecord
from tui.news import RunView
from tui.run_filter import RunFilter, SortBy, in_order

_MAX_GUIDED_LEVELS = 4
"""Levels of forks that are set in; deeper ones stand under one another, so that a title keeps its room."""

_THROUGH, _NONE = "│ ", "  "
_BRANCH, _LAST_BRANCH = "├ ", "└ "


class SessionLine(NamedTuple):
    """The head of a session."""

    name: str
    runs: int
    """How many of its runs are shown when it is open."""
    is_open: bool


class RunLine(NamedTuple):
    """A run and where it stands in the tree."""

    run: RunView
    guides: str = ""
    """What is drawn before its sign."""
    guides_below: str = ""
    """The same on its second line."""
    has_forks: bool = False
    """Forks of it are shown below."""
    origin: str = ""
    """`@40` for a fork at step 40 under its parent, `7@40` for one of run 7 that stands elsewhere."""


TreeLine = SessionLine | RunLine


def tree_lines(
    runs: Sequence[RunView], closed: Collection[str] = (), *, run_filter: RunFilter, sort: SortBy
) -> list[TreeLine]:
    """Lines for the runs that pass a filter.

    Newest first they are a tree: sessions by their newest run, and in each the runs with their forks below.
    Any other order is a ranking over all sessions, without their heads.

    Args:
        runs: All runs.
        closed: Names of the sessions whose runs are not shown.
        run_filter: Which runs are shown.
        sort: Their order.
    """
    records = [view.record for view in runs]
    shown = in_order(filter(run_filter.holds, records) if run_filter.conditions else records, sort)
    views = {view.record.id: view for view in runs}
    if sort is not SortBy.NEWEST:
        return [RunLine(views[record.id], origin=_origin(record, views)) for record in shown]
    sessions: dict[str, list[RunRecord]] = defaultdict(list)
    for record in shown:
        sessions[record.session].append(record)
    lines: list[TreeLine] = []
    for name, members in sessions.items():
        is_open = name not in closed
        lines.append(SessionLine(name, len(members), is_open))
        if is_open:
            lines.extend(_session_lines(members, views))
    return lines


def _session_lines(members: Sequence[RunRecord], views: dict[int, RunView]) -> list[TreeLine]:
    ids = {record.id for record in members}
    forks: dict[int, list[RunRecord]] = defaultdict(list)
    roots: list[RunRecord] = []
    for record in members:
        parent = record.parent_run
        is_below = parent is not None and parent in ids and parent < record.id
        (forks[parent] if is_below and parent is not None else roots).append(record)
    lines: list[TreeLine] = []
    # A stack and no recursion: a chain of forks may be longer than Python's.
    stack: list[tuple[RunRecord, tuple[bool, ...], bool]] = [(root, (), False) for root in reversed(roots)]
    while stack:
        record, levels, is_fork = stack.pop()
        below = forks.get(record.id, [])
        lines.append(
            RunLine(
                views[record.id],
                _guides(levels, _BRANCH, _LAST_BRANCH),
                _guides(levels, _THROUGH, _NONE),
                bool(below),
                f"@{record.parent_step}" if is_fork else _origin(record, views),
            )
        )
        # Each level says whether another fork of the same parent follows.
        stack.extend(
            (fork, (*levels[-_MAX_GUIDED_LEVELS:], place < len(below) - 1), True)
            for place, fork in reversed(list(enumerate(below)))
        )
    return lines


def _guides(levels: tuple[bool, ...], own: str, own_last: str) -> str:
    if not levels:
        return ""
    *above, goes_on = levels[-_MAX_GUIDED_LEVELS:]
    return "".join(_THROUGH if more else _NONE for more in above) + (own if goes_on else own_last)


def _origin(record: RunRecord, views: dict[int, RunView]) -> str:
    if record.parent_run is None:
        return ""
    parent = views.get(record.parent_run)
    number = "?" if parent is None else str(parent.record.number)
    return f"{number}@{record.parent_step}"
