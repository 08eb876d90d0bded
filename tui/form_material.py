"""What the form for a new run can be filled from: presets, the last run, the selected one; and sessions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engine.bundles import BUNDLES, all_bundles
from engine.errors import UserError
from engine.forking import ForkPoint
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.records import RunRecord
from tui.form_fields import Values
from tui.form_values import values_of
from tui.presets import EXAMPLES, PUBLISHED, Preset, read_presets
from tui.text import safe_text


@dataclass(frozen=True)
class Source:
    """Values for the fields, and where they are from."""

    label: str
    values: Values
    note: str = ""
    """What the values show, in one line."""

    own_preset: str | None = None
    """Name of the user's own preset, where it is one."""


@dataclass(frozen=True)
class FormMaterial:
    """All that the form is given when it opens."""

    sources: tuple[Source, ...]
    """The first one fills the form."""

    sessions: tuple[str, ...] = ()
    """Names of those that there are, the newest first."""

    notice: str = ""
    """What could not be read, in one line."""

    fork: ForkPoint | None = None
    """The row that the first source forks."""

    bundles: tuple[str, ...] = tuple(BUNDLES)
    """Names of those that there are."""


def read_material(
    database: Path, selected: int | None, bundle: str, fork: ForkPoint | None = None
) -> FormMaterial:
    """Read what the form can be filled from; what cannot be read is left out and named.

    Args:
        database: Where runs are; it need not exist.
        selected: Id of the run that the user looks at.
        bundle: On whose models the published experiments are made again.
        fork: The row that is to be forked, if one is.
    """
    notices = []
    runs: list[RunRecord] = []
    sessions: tuple[str, ...] = ()
    if database.exists():
        try:
            with Reader(database) as reader:
                runs = reader.runs()
                sessions = tuple(session.name for session in reversed(reader.sessions()))
        except UserError as error:
            notices.append(str(error))
    own: dict[str, Preset] = {}
    try:
        own = read_presets()
    except UserError as error:
        notices.append(str(error))
    presets: list[Source] = list(_built_in_sources(bundle))
    for name, preset in own.items():
        try:
            presets.append(own_source(name, preset))
        except UserError as error:
            notices.append(f"preset {name}: {error}")
    bundles = tuple(BUNDLES)
    try:
        bundles = tuple(all_bundles())
    except UserError as error:
        notices.append(str(error))
    sources = (*_fork_sources(fork), *_run_sources(runs, selected), *presets)
    return FormMaterial(sources, sessions, "; ".join(notices), fork, bundles)


def _fork_sources(point: ForkPoint | None) -> tuple[Source, ...]:
    if point is None:
        return ()
    label = safe_text(f"fork of {point.run.session}/{point.run.number}, step {point.step}")
    return (Source(label, values_of(point.spec, point.run.break_points)),)


def _built_in_sources(bundle: str) -> tuple[Source, ...]:
    return tuple(
        Source(f"published: {name}", values_of(preset.spec) | {"bundle": bundle}, note=preset.description)
        for name, preset in PUBLISHED.items()
    ) + tuple(
        Source(f"built in: {name}", values_of(preset.spec) | {"bundle": bundle}, note=preset.description)
        for name, preset in EXAMPLES.items()
    )


def own_source(name: str, preset: Preset) -> Source:
    """A preset of the user's own."""
    return Source(f"preset: {name}", values_of(preset.spec, preset.break_points), own_preset=name)


def _run_sources(runs: Sequence[RunRecord], selected: int | None) -> tuple[Source, ...]:
    """The newest run that was made here, and the one that is selected, where they can be made again."""
    newest = max((run.id for run in runs if run.origin == "recorded"), default=None)
    wanted = {newest: "last run", selected: "selected run"} if selected != newest else {newest: "last run"}
    by_id = {run.id: run for run in runs}
    sources = []
    for run, word in wanted.items():
        if run in by_id and (spec := _spec(by_id[run])) is not None:
            record = by_id[run]
            label = safe_text(f"{word}: {record.session}/{record.number}")
            with suppress(UserError):  # it has more texts than the form can hold
                sources.append(Source(label, values_of(spec, record.break_points)))
    return tuple(sources)


def _spec(run: RunRecord) -> RunSpec | None:
    """What was asked of a run; None where this program does not understand it."""
    try:
        return RunSpec.model_validate_json(run.spec)
    except ValidationError:
        return None
