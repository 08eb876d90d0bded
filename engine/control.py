"""What a viewer can make happen: queue a run, ask its worker for something, start a worker.

A viewer never talks to a worker. It inserts a row, makes sure that a worker is there to read it, and reads
the answer.
"""

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bundles import find_bundle
from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.records import CommandRecord, RunRecord, Status
from engine.store.vectors import VectorArray
from engine.workerfiles import worker_log

if TYPE_CHECKING:  # pydantic is only imported when something is queued: a viewer's first paint needs none
    from engine.spec import RunSpec, VectorInit

COMMANDS = ("pause", "resume", "stop", "set")

_POLL_S = 0.02


def queue_run(
    database: Path,
    spec: "RunSpec",
    *,
    session: str | None = None,
    name: str | None = None,
    initial: VectorArray | None = None,
) -> int:
    """Queue a run and see to it that a worker takes it up.

    Args:
        database: Created when it does not exist.
        spec: What to optimise.
        session: Name of the session to put it into; today's date if None.
        name: A name for the run, if it should have one.
        initial: z to start from, float32 (D,), instead of spec.init.

    Returns:
        The id of the run.

    Raises:
        UserError: something in the spec cannot be had, and nothing is queued.
    """
    from engine.spec import VectorInit
    from engine.store.writing import add_run
    from engine.tokens import check_lengths

    find_bundle(spec.bundle)
    check_lengths(spec)
    session = _checked_name("session", date.today().isoformat() if session is None else session)
    if name is not None:
        name = _checked_name("name", name)
    if initial is None and isinstance(spec.init, VectorInit):
        initial = _stored_vector(database, spec.init)
    if initial is not None and not (initial.ndim == 1 and initial.size and _is_usable(initial)):
        raise UserError("init: a vector must be one row of finite numbers that are not all 0")
    device = resolve_device(spec.device)
    run = add_run(database, spec, device=device, session=session, name=name, initial=initial)
    ensure_worker(database, device)
    return run


def request(database: Path, run_id: int, kind: str, arguments: Mapping[str, Any] | None = None) -> int:
    """Ask for a run to be paused, resumed, stopped or changed.

    Args:
        database: Where the run is.
        run_id: Which run.
        kind: One of COMMANDS.
        arguments: For `set`: {"lr": 0.005}.

    Returns:
        The id of the command; `Reader.command` or `wait_for_command` tells what became of it.

    Raises:
        UserError: it cannot be done, and nothing has been asked.
    """
    from engine.store.writing import add_command

    arguments = dict(arguments or {})
    with Reader(database) as reader:
        run = reader.run(run_id)
    _check_request(run, kind, arguments)
    command = add_command(database, device=run.device, kind=kind, run=run_id, arguments=arguments)
    ensure_worker(database, run.device)
    return command


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


def _has_worker(reader: Reader, device: str) -> bool:
    return any(worker.alive for worker in reader.workers() if worker.device == device)


def _check_request(run: RunRecord, kind: str, arguments: Mapping[str, Any]) -> None:
    if kind not in COMMANDS:
        raise UserError(f"command: {kind!r} is unknown; there are {', '.join(COMMANDS)}")
    if run.origin != "recorded":
        raise UserError(f"run {run.id}: is {run.origin}, and was never run here: it can only be looked at")
    if kind == "set":
        _check_settings(arguments)
    if kind == "resume" and run.status in (Status.QUEUED, Status.LOADING, Status.RUNNING):
        raise UserError(f"run {run.id}: is {run.status} already")
    if kind == "resume" and run.status is Status.FINISHED:
        raise UserError(f"run {run.id}: has finished its {run.steps} steps")
    if kind != "resume" and run.status.has_ended:
        raise UserError(f"run {run.id}: has ended ({run.status})")


def _check_settings(arguments: Mapping[str, Any]) -> None:
    from engine.spec import check_lr

    if set(arguments) != {"lr"}:
        raise UserError(f"set: {', '.join(arguments) or 'nothing'} cannot be set; what can be is lr")
    lr = arguments["lr"]
    if not isinstance(lr, (int, float)) or isinstance(lr, bool):
        raise UserError(f"lr: {lr!r}: should be a number")
    check_lr(float(lr))


def _checked_name(field: str, name: str) -> str:
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise UserError(f"{field}: {name[:40]!r}: a name has 1 to 200 printable characters")
    return name


def _stored_vector(database: Path, init: "VectorInit") -> VectorArray:
    with Reader(database) as reader:
        reader.run(init.run)
        vector = reader.vector(init.run, init.step, "z")
    if vector is None:
        raise UserError(f"init: run {init.run} has no stored z for step {init.step}")
    return vector


def _is_usable(vector: VectorArray) -> bool:
    length = float((vector.astype("float64") ** 2).sum())
    return math.isfinite(length) and length > 0
