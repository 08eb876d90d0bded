"""What viewers write: sessions, runs to be done, and commands. Everything else is the worker's."""

import getpass
import json
import platform
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session as Transaction
from sqlmodel import col, select

from engine.spec import RunSpec
from engine.store.connection import unwritable
from engine.store.orm import open_engine
from engine.store.records import Status
from engine.store.schema import prepare
from engine.store.tables import BreakPoint, Checkpoint, Command, Event, Run, Session, Task, Vector
from engine.store.vectors import VectorArray, pack


@contextmanager
def transaction(path: Path) -> Iterator[Transaction]:
    """Prepare the database and open one transaction: committed at the end, or nothing is changed.

    Raises:
        UserError: the database cannot be written (damaged, newer, locked, read-only, disk full).
    """
    prepare(path)
    engine = open_engine(path)
    try:
        with Transaction(engine) as open_transaction:
            yield open_transaction
            open_transaction.commit()
    except (DatabaseError, sqlite3.DatabaseError) as error:
        raise unwritable(path, getattr(error, "orig", None) or error) from error
    finally:
        engine.dispose()


@dataclass(frozen=True)
class Descent:
    """The row of another run that a fork comes from."""

    run: int
    step: int
    origin: str
    """For people: that row, and what of it the fork starts with."""
    state: bytes | None
    """The parent's state before the update of that step, to go on from; None: the fork has its z alone."""
    digest: str | None
    """Of the weights that the state belongs to."""


@dataclass(frozen=True)
class Wish:
    """A run that is to be done."""

    spec: RunSpec
    device: str
    name: str | None = None
    initial: VectorArray | None = None
    """z to start from, instead of spec.init. # (D,)"""
    break_points: Sequence[str] = ()
    descent: Descent | None = None


def add_run(
    path: Path,
    spec: RunSpec,
    *,
    device: str,
    session: str,
    name: str | None = None,
    initial: VectorArray | None = None,
    break_points: Sequence[str] = (),
) -> int:
    """Put a run into the queue of a device; its session is made when there is none of that name.

    Returns:
        The id of the run.
    """
    (run,) = add_runs(path, [Wish(spec, device, name, initial, break_points)], session=session)
    return run


def add_runs(path: Path, wishes: Sequence[Wish], *, session: str) -> list[int]:
    """Put runs into the queues of their devices, in one transaction: all of them or none.

    Returns:
        Their ids.
    """
    with transaction(path) as open_transaction:
        return [_add_wish(open_transaction, wish, session) for wish in wishes]


def _add_wish(open_transaction: Transaction, wish: Wish, session: str) -> int:
    run = new_run(open_transaction, wish.spec, device=wish.device, session=session, name=wish.name)
    assert run.id is not None
    if wish.initial is not None:
        open_transaction.add(
            Vector(run=run.id, step=0, kind="init", dimension=wish.initial.size, data=pack(wish.initial))
        )
    for condition in wish.break_points:
        open_transaction.add(BreakPoint(run=run.id, condition=condition, created=run.created, who=who()))
    open_transaction.add(Event(run=run.id, time=run.created, kind="created", who=who()))
    if wish.descent is not None:
        _add_descent(open_transaction, run, wish.descent)
    return run.id


def _add_descent(open_transaction: Transaction, run: Run, descent: Descent) -> None:
    assert run.id is not None
    run.parent_run, run.parent_step = descent.run, descent.step
    first_step = 0
    if descent.state is not None:
        first_step = descent.step
        run.bundle_digest = descent.digest
        open_transaction.add(
            Checkpoint(run=run.id, step=descent.step, created=run.created, data=descent.state)
        )
    open_transaction.add(
        Event(
            run=run.id,
            step=first_step,
            time=run.created,
            kind="forked",
            detail=f"from {descent.origin}",
            who=who(),
        )
    )


def new_run(
    open_transaction: Transaction,
    spec: RunSpec,
    *,
    device: str,
    session: str,
    name: str | None = None,
    status: Status = Status.QUEUED,
    origin: str = "recorded",
) -> Run:
    """Add a run to an open transaction, with the next number of its session."""
    home = open_transaction.exec(select(Session).where(Session.name == session)).first()
    if home is None:
        home = Session(name=session, created=time.time())
        open_transaction.add(home)
        open_transaction.flush()
    assert home.id is not None
    home.archived = False  # a run that is wanted now is to be seen
    last = open_transaction.exec(select(func.max(Run.number)).where(col(Run.session_id) == home.id)).one()
    run = Run(
        session_id=home.id,
        number=(last or 0) + 1,
        name=name,
        spec=spec.model_dump_json(),
        init=str(spec.init),
        target=spec.target,
        loss_name=spec.loss_name,
        bundle=spec.bundle,
        lr=spec.lr,
        steps=spec.steps,
        status=status,
        origin=origin,
        device=device,
        seed=spec.seed,
        created=time.time(),
    )
    open_transaction.add(run)
    open_transaction.flush()
    return run


def add_command(
    path: Path, *, device: str, kind: str, run: int | None = None, arguments: Mapping[str, Any] | None = None
) -> int:
    """Ask the worker of a device for something.

    Returns:
        The id of the command, by which `Reader.command` tells what became of it.
    """
    return _ask(path, Command, device, kind, run, arguments)


def add_task(
    path: Path, *, device: str, kind: str, run: int | None = None, arguments: Mapping[str, Any] | None = None
) -> int:
    """Have something worked out by the worker of a device.

    Returns:
        The id of the task, by which `Reader.task` tells how it stands.
    """
    return _ask(path, Task, device, kind, run, arguments)


def _ask(
    path: Path,
    table: type[Command] | type[Task],
    device: str,
    kind: str,
    run: int | None,
    arguments: Mapping[str, Any] | None,
) -> int:
    with transaction(path) as open_transaction:
        row = table(
            run=run,
            device=device,
            kind=kind,
            arguments=json.dumps(arguments or {}),
            requested=time.time(),
            who=who(),
        )
        open_transaction.add(row)
        open_transaction.flush()
        assert row.id is not None
        return row.id


def end_task_early(path: Path, task_id: int) -> bool:
    """Cancel a task that has not ended; its worker lets go of it. False: there is none."""
    with transaction(path) as open_transaction:
        cancelled = open_transaction.exec(
            update(Task)
            .where(col(Task.id) == task_id, col(Task.status).in_(("pending", "running")))
            .values(status="cancelled", ended=time.time())
        )
        return bool(cancelled.rowcount)


def who() -> str:
    """Who is asking: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = "unknown"
    return f"{user}@{platform.node()}"
