"""What a viewer can make happen: queue a run, ask its worker for something, start a worker.

A viewer never talks to a worker. It inserts a row, makes sure that a worker is there to read it, and reads
the answer.
"""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.breakpoints import parse_condition
from engine.bundles import Bundle, embedding_dimension, find_bundle
from engine.commands import (
    COMMANDS,
    change_break_points,
    check_status,
    parse_break_point,
    parse_extension,
    parse_halt,
    parse_settings,
)
from engine.errors import UserError
from engine.names import checked_name
from engine.store.reading import Reader
from engine.store.records import CommandRecord, RunRecord, TaskRecord
from engine.store.vectors import VectorArray
from engine.tasks import check_task
from engine.workerfiles import worker_log

if TYPE_CHECKING:  # pydantic is only imported when something is queued: a viewer's first paint needs none
    from engine.spec import RunSpec, VectorInit
    from engine.store.writing import Wish

_POLL_S = 0.02


def queue_run(
    database: Path,
    spec: "RunSpec",
    *,
    session: str | None = None,
    name: str | None = None,
    initial: VectorArray | None = None,
    break_points: Sequence[str] = (),
) -> int:
    """Queue a run and see to it that a worker takes it up.

    Args:
        database: Created when it does not exist.
        spec: What to optimise.
        session: Name of the session to put it into; today's date if None.
        name: A name for the run, if it should have one.
        initial: z to start from, float32 (D,), instead of spec.init.
        break_points: Conditions under which the run pauses (engine.breakpoints).

    Returns:
        The id of the run.

    Raises:
        UserError: something in the spec cannot be had, and nothing is queued.
    """
    wish = _checked_wish(database, spec, name, initial, break_points)
    (run,) = _queue(database, [wish], session)
    return run


def queue_runs(
    database: Path,
    specs: Sequence["RunSpec"],
    *,
    session: str | None = None,
    names: Sequence[str | None],
    break_points: Sequence[str] = (),
) -> list[int]:
    """Queue several runs at once: all of them, or none.

    Args:
        database: Created when it does not exist.
        specs: What to optimise, one or more.
        session: Name of the session to put them into; today's date if None.
        names: One for each spec.
        break_points: Conditions under which each of them pauses (engine.breakpoints).

    Returns:
        The ids of the runs.

    Raises:
        UserError: something in a spec cannot be had, or the database cannot be written; nothing is queued.
    """
    wishes = [
        _checked_wish(database, spec, name, None, break_points)
        for spec, name in zip(specs, names, strict=True)
    ]
    return _queue(database, wishes, session)


def queue_forks(
    database: Path,
    run_id: int,
    step: int,
    specs: Sequence["RunSpec"],
    *,
    session: str | None = None,
    names: Sequence[str | None],
    break_points: Sequence[str] = (),
) -> list[int]:
    """Queue forks of a run from one of its rows: all of them, or none.

    Each starts with the state of the parent's optimiser where that is kept, the bundle is the parent's and
    the norm is held in the same way; else from z alone (engine.forking). Its event `forked` says which.

    Args:
        database: Where the parent is.
        run_id: The parent.
        step: The row, by its step.
        specs: What to optimise, one or more; they start from that row whatever their init says.
        session: Name of the session to put them into; the parent's if None.
        names: One for each spec.
        break_points: Conditions under which each of them pauses (engine.breakpoints).

    Returns:
        The ids of the runs.

    Raises:
        UserError: there is no z for that row, or something in a spec cannot be had; nothing is queued.
    """
    from engine.forking import fork_point, fork_start

    wishes = []
    with Reader(database) as reader:
        point = fork_point(reader, run_id, step)
        for spec, name in zip(specs, names, strict=True):
            fork, z, descent = fork_start(reader, point, spec)
            wish = _checked_wish(database, fork, name, z, break_points)
            wishes.append(replace(wish, descent=descent))
    return _queue(database, wishes, point.run.session if session is None else session)


def request(database: Path, run_id: int, kind: str, arguments: Mapping[str, Any] | None = None) -> int:
    """Ask for a run to be paused, resumed, stopped, changed, extended, or watched by a break-point.

    Args:
        database: Where the run is.
        run_id: Which run.
        kind: One of engine.commands.COMMANDS.
        arguments: For `resume` nothing, or where to pause again: {"steps": N} after N more rows, {"until": K}
            after row K; with these a run that is going on is told where to pause. For `set`: {"lr": 0.005},
            {"weights": {"cosine": 0.1}}, or both. For `extend`: {"steps": n}, how many more updates to make;
            a run that has ended goes on from its last checkpoint. For `break` and `unbreak`:
            {"when": CONDITION} (engine.breakpoints).

    Returns:
        The id of the command; `Reader.command` or `wait_for_command` tells what became of it.

    Raises:
        UserError: it cannot be done, and nothing has been asked.
    """
    from engine.store.writing import add_command

    with Reader(database) as reader:
        run = reader.run(run_id)
    arguments = _checked_arguments(run, kind, arguments or {})
    command = add_command(database, device=run.device, kind=kind, run=run_id, arguments=arguments)
    ensure_worker(database, run.device)
    return command


def request_task(
    database: Path,
    kind: str,
    *,
    run: int | None = None,
    device: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> int:
    """Have something worked out by a worker that is no run.

    Args:
        database: Where it is asked for, and answered.
        kind: One of engine.tasks.TASKS.
        run: The run that it is about, if it is about one.
        device: Whose worker does it; that of the run's if None.
        arguments: As the kind takes them (engine.tasks).

    Returns:
        The id of the task; `Reader.task` or `wait_for_task` tells how it stands.

    Raises:
        UserError: it cannot be done, and nothing has been asked.
    """
    from engine.store.writing import add_task

    with Reader(database) as reader:
        record = None if run is None else reader.run(run)
    arguments = check_task(kind, record, arguments or {})
    if device is not None:
        from engine.spec import parse_spec

        device = parse_spec(device=device).device
    device = resolve_device(device or ("auto" if record is None else record.device))
    task = add_task(database, device=device, kind=kind, run=run, arguments=arguments)
    ensure_worker(database, device)
    return task


def cancel_task(database: Path, task_id: int) -> None:
    """Have a task given up; from now on it is cancelled.

    Raises:
        UserError: there is no such task, or it has ended.
    """
    from engine.store.writing import end_task_early

    with Reader(database) as reader:
        if not end_task_early(database, task_id):
            raise UserError(f"task {task_id}: has ended ({reader.task(task_id).status})")


def wait_for_task(
    reader: Reader,
    task_id: int,
    timeout_s: float,
    progress: Callable[[TaskRecord], None] = lambda task: None,
) -> TaskRecord:
    """Wait until a task has ended, at most this long; the last state is returned.

    Args:
        reader: Of its database.
        task_id: Which task.
        timeout_s: Seconds.
        progress: Called with the task as often as it has got further.
    """
    deadline = time.monotonic() + timeout_s
    before = None
    while True:
        task = reader.task(task_id)
        if task != before:
            progress(task)
        if task.has_ended or time.monotonic() > deadline:
            return task
        before = task
        time.sleep(_POLL_S)


def request_worker_stop(database: Path, device: str) -> int | None:
    """Ask the worker of a device to pause its runs and leave; None when there is no worker."""
    from engine.store.writing import add_command

    with Reader(database) as reader:
        if not _has_worker(reader, device):
            return None
    return add_command(database, device=device, kind="stop")


def wait_for_command(reader: Reader, command_id: int, timeout_s: float) -> CommandRecord:
    """Wait until a command has been applied or rejected, at most this long; the last state is returned."""
    deadline = time.monotonic() + timeout_s
    command = reader.command(command_id)
    while command.status == "pending" and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        command = reader.command(command_id)
    return command


def ensure_worker(database: Path, device: str) -> None:
    """Start the worker of a database and device if there is none. Harmless when there is one.

    The worker gets a process session of its own, so that it outlives the terminal, and nothing of this
    process: no terminal, no pipe. Of two that are started at once, one finds the lock taken and leaves.
    """
    database = database.resolve()
    with Reader(database) as reader:
        if _has_worker(reader, device):
            return
    log = worker_log(database, device)
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    except OSError as error:
        raise UserError(f"worker: its log {log} cannot be written: {error.strerror}") from error
    try:
        subprocess.Popen(
            [sys.executable, "-m", "engine.worker", "--db", str(database), "--device", device],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def resolve_device(device: str) -> str:
    """The device whose worker takes a run: `auto` and `cuda` become `cpu` or `cuda:N`."""
    if device == "auto":
        return default_device()
    return "cuda:0" if device == "cuda" else device


def default_device() -> str:
    """`cuda:0` where the NVIDIA driver shows a card to this process, else `cpu`; torch is not asked."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.split(",")[0].strip() in ("", "-1"):
        return "cpu"
    cards = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()  # dxg: WSL 2
    return "cuda:0" if cards else "cpu"


def _checked_wish(
    database: Path,
    spec: "RunSpec",
    name: str | None,
    initial: VectorArray | None,
    break_points: Sequence[str],
) -> "Wish":
    """A run that can be done, as far as that can be known without its models."""
    from engine.compiler import check_compiler
    from engine.spec import FileInit, VectorInit
    from engine.store.writing import Wish
    from engine.tokens import check_lengths

    bundle = find_bundle(spec.bundle)
    check_lengths(spec)
    if name is not None:
        name = checked_name("name", name)
    conditions = list(dict.fromkeys(str(parse_condition(condition)) for condition in break_points))
    if initial is None and isinstance(spec.init, VectorInit):
        initial = _stored_vector(database, spec.init)
    if initial is None and isinstance(spec.init, FileInit):
        initial = _vector_of_file(spec.init.file)
    if initial is not None:
        _check_vector(initial, bundle)
    device = resolve_device(spec.device)
    if device != "cpu" and default_device() == "cpu":
        raise UserError(f"device: {spec.device}: the NVIDIA driver shows no card here; there are auto, cpu")
    if spec.compile:
        check_compiler(device)
    return Wish(spec, device, name, initial, conditions)


def _queue(database: Path, wishes: Sequence["Wish"], session: str | None) -> list[int]:
    from engine.store.writing import add_runs

    session = checked_name("session", date.today().isoformat() if session is None else session)
    runs = add_runs(database, wishes, session=session)
    for device in sorted({wish.device for wish in wishes}):
        ensure_worker(database, device)
    return runs


def _has_worker(reader: Reader, device: str) -> bool:
    return any(worker.alive for worker in reader.workers() if worker.device == device)


def _checked_arguments(run: RunRecord, kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as they are written, once it is sure that the run can take the command as it stands."""
    if kind not in COMMANDS:
        raise UserError(f"command: {kind!r} is unknown; there are {', '.join(COMMANDS)}")
    if run.origin != "recorded":
        raise UserError(f"run {run.id}: is {run.origin}, and was never run here: it can only be looked at")
    if kind == "set":
        settings = parse_settings(arguments)
        if settings.terms or settings.schedules:
            from engine.spec import RunSpec, steered

            spec = RunSpec.model_validate_json(run.spec).model_copy(
                update={"weights": dict(run.weights), "schedules": dict(run.schedules)}
            )
            steered(spec, 0, lr=settings.lr, weights=settings.weights, schedules=settings.schedules)
    if kind == "extend":
        parse_extension(arguments, steps=run.steps)
    if kind in ("break", "unbreak"):
        arguments = {"when": parse_break_point(arguments)}
    try:
        check_status(kind, arguments, status=run.status, steps=run.steps)
    except UserError as error:
        raise UserError(f"run {run.id}: {error}") from None
    if kind == "resume":
        parse_halt(arguments, next_step=0 if run.last_step is None else run.last_step + 1, steps=run.steps)
    if kind in ("break", "unbreak"):
        change_break_points(kind, arguments["when"], run.break_points)
    return dict(arguments)


def _stored_vector(database: Path, init: "VectorInit") -> VectorArray:
    with Reader(database) as reader:
        reader.run(init.run)
        vector = reader.vector(init.run, init.step, "z")
    if vector is None:
        raise UserError(f"init: run {init.run} has no stored z for step {init.step}")
    return vector


def _vector_of_file(file: str) -> VectorArray:
    from engine.vector_files import read_vector

    try:
        return read_vector(file)
    except UserError as error:
        raise UserError(f"init.file: {error}") from None


def _check_vector(initial: VectorArray, bundle: Bundle) -> None:
    """Refuse a z that a run cannot start from; where D is not known yet, the worker compares it."""
    if not (initial.ndim == 1 and initial.size and _is_usable(initial)):
        raise UserError("init: a vector must be one row of finite numbers that are not all 0")
    dimension = embedding_dimension(bundle)
    if dimension not in (None, initial.size):
        raise UserError(f"init: {initial.size} numbers; bundle {bundle.name} takes {dimension}")


def _is_usable(vector: VectorArray) -> bool:
    length = float((vector.astype("float64") ** 2).sum())
    return math.isfinite(length) and length > 0
