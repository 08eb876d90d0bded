"""What the store gives to its readers: plain frozen values, no ORM objects, no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[str, float | None] = MappingProxyType({})


class Status(StrEnum):
    """Life of a run: queued → loading → running ⇄ paused → finished | stopped | failed, or crashed."""

    QUEUED = "queued"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    CRASHED = "crashed"

    @property
    def is_held_by_worker(self) -> bool:
        """A worker process is responsible for the run."""
        return self in (Status.LOADING, Status.RUNNING, Status.PAUSED)

    @property
    def has_ended(self) -> bool:
        """No further step will come by itself."""
        return self in (Status.FINISHED, Status.STOPPED, Status.FAILED, Status.CRASHED)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A named group of runs."""

    id: int
    name: str
    created: float
    """Unix time, seconds; so are all times of the store."""
    notes: str
    """Markdown"""
    tags: tuple[str, ...]
    archived: bool
    runs: int
    """How many it holds that are not deleted."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session as a list of sessions shows it."""

    session: SessionRecord
    matches: int
    """How many of its runs ever matched."""
    active: float
    """When one of its runs was last queued, started or ended; without runs, when it was made."""


@dataclass(frozen=True, slots=True)
class RunTotals:
    """What has to be summed over all rows of a run."""

    lowest_loss: float | None
    """None: no row has a finite one."""
    size_bytes: int
    """Bytes of its rows, vectors and checkpoints, without what the database adds to them."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One optimisation with the newest values of its trajectory."""

    id: int
    session: str
    number: int
    """Number within the session, from 1."""
    name: str | None
    spec: str
    """RunSpec as JSON; `engine.spec.RunSpec.model_validate_json` reads it."""
    init: str
    """Where z started, as one line of text."""
    target: str
    """The first sentence of it; see `targets`."""
    loss_name: str
    """The objective, for example `ce` or `ce + 0.1 cosine`."""
    bundle: str
    bundle_digest: str | None
    steps: int
    """Updates asked for."""
    status: Status
    """As stored, except that a run whose worker process is gone is `crashed`."""
    origin: str
    """`recorded` by this program, or `published` (typed in from a publication)."""
    parent_run: int | None
    parent_step: int | None
    device: str
    seed: int
    worker_pid: int | None
    heartbeat: float | None
    error: str | None
    created: float
    started: float | None
    ended: float | None
    last_step: int | None
    loss: float | None
    similarity: float | None
    lr: float | None
    """Learning rate that the next update will use, or the last one used."""
    z_norm: float | None
    match: bool | None
    """Whether the newest decoded prediction equals the target; None when nothing is decoded yet."""
    decoded_prediction: str | None
    """The newest decoded prediction."""
    first_match_step: int | None
    weights: Mapping[str, float]
    """Each loss term's weight in force: the spec's at first, then what it was last set to. A schedule starts
    from it."""
    schedules: Mapping[str, str]
    """Schedules in force of `lr` and of weights, by name (`engine.schedule`)."""
    break_points: tuple[str, ...]
    """Conditions under which the run pauses, in the order in which they were set."""
    environment: Mapping[str, str] | None
    """What the run last ran on (`engine.environment`); None before it has started."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The target sentences in their order."""
        return self.target, *_continuation(self.spec)

    @property
    def target_text(self) -> str:
        """The target sentences as one text."""
        return " ".join(self.targets)

    @property
    def step_word(self) -> str:
        """What one of its steps is: a `step`, or a `generation` of a population search."""
        return _step_word(self.spec)

    @property
    def is_compiled(self) -> bool:
        """Whether the models' part of its steps is compiled."""
        return _field(self.spec, "compile") is True


@lru_cache(maxsize=1024)
def _step_word(spec: str) -> str:
    return "generation" if _field(spec, "method") == "population" else "step"


@lru_cache(maxsize=1024)
def _continuation(spec: str) -> tuple[str, ...]:
    """The target sentences after the first: a filter asks at every key."""
    sentences = _field(spec, "continuation")
    if not isinstance(sentences, list):
        return ()
    return tuple(sentence for sentence in sentences if isinstance(sentence, str))


def _field(spec: str, name: str) -> object:
    """A field of a stored spec; None where there is none, for a column may hold anything."""
    try:
        fields = json.loads(spec)
    except (ValueError, TypeError, RecursionError):
        return None
    return fields.get(name) if isinstance(fields, dict) else None


class StepRecord(NamedTuple):
    """Row k of a trajectory: everything about z before update k.

    A tuple, because runs of 50,000 rows are opened while somebody waits.
    """

    run: int
    step: int
    loss: float | None
    """None when it is not finite."""
    terms: Mapping[str, float | None]
    similarity: float | None
    grad_norm: float | None
    z_norm: float | None
    lr: float | None
    """None in the last row: no update is made from it."""
    elapsed_ms: float | None
    decoded_z: str | None
    decoded_prediction: str | None
    match: bool | None
    state_hash: str | None
    measures: Mapping[str, float | None] = NOTHING
    """What is measured of a decoded row, by the names of `engine.measures.MEASURES`."""


class SentenceRecord(NamedTuple):
    """What is predicted in the place of one target sentence of several, in a decoded row."""

    text: str
    ce: float | None
    """Cross-entropy of the target sentence, nats a token."""
    match: bool


class Aside(NamedTuple):
    """What a decoded row says besides its two texts."""

    sentences: tuple[SentenceRecord, ...] = ()
    """What is predicted in the place of each target sentence; nothing for a run that has only one."""

    reread_prediction: str | None = None
    """What is predicted from the text of z, encoded again; None: it was not asked."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened to a run, at the step that it took effect with."""

    id: int
    run: int
    step: int | None
    time: float
    kind: str
    """created, forked, started, paused, resumed, stopped, lr, weight, extended, break-point, remade,
    finished, failed, crashed, device, …"""
    detail: str
    """One line for people, for example `0.01 → 0.005`; may be empty."""
    who: str


@dataclass(frozen=True, slots=True)
class BreakPointRecord:
    """A condition under which a run pauses."""

    id: int
    run: int
    condition: str
    created: float
    who: str


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """What a viewer asked for and what became of it."""

    id: int
    run: int | None
    """None for a command to the worker itself."""
    device: str
    kind: str
    """One of engine.commands.COMMANDS; for a worker: stop."""
    arguments: Mapping[str, Any]
    """{} where they cannot be read."""
    requested: float
    who: str
    status: str
    """pending, applied, rejected"""
    applied_step: int | None
    reason: str | None
    is_readable: bool = True
    """Whether the arguments are a JSON object; the worker rejects a command of which they are not."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """Something that a worker works out besides runs, and how it stands."""

    id: int
    device: str
    run: int | None
    kind: str
    """One of engine.tasks.TASKS"""
    arguments: Mapping[str, Any]
    requested: float
    who: str
    status: str
    """pending, running, done, failed (by its worker, or because that is gone), cancelled"""
    done: int
    """How much of `total` is done."""
    total: int | None
    """None as long as it is not known."""
    result: Mapping[str, Any] | None
    error: str | None
    """Why it has failed or was cancelled, in one line; None when somebody cancelled it."""
    ended: float | None

    @property
    def has_ended(self) -> bool:
        """Nothing more comes of it."""
        return self.status not in ("pending", "running")


@dataclass(frozen=True, slots=True)
class CardFigures:
    """A GPU at one moment."""

    name: str
    memory_used: int
    """Bytes, of all programs."""
    memory_total: int
    """Bytes"""
    utilisation: int | None
    """Percent of the last moments in which the card was busy; None where the driver does not say."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """The worker of a device, as it last described itself."""

    device: str
    pid: int
    start: str
    """engine.process.process_start of the process"""
    started: float
    heartbeat: float
    state: str
    """starting, loading BUNDLE, idle, running N, leaving"""
    idle_timeout_s: float
    log: str
    device_name: str | None
    """What the card calls itself; None, like the figures below, where there is no GPU."""
    memory_used: int | None
    """Bytes in use on the card, by all programs."""
    memory_total: int | None
    """Bytes"""
    utilisation: int | None
    """Percent of the last moments in which the card was busy."""
    alive: bool
    """Whether that process exists now."""
