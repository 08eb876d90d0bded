"""The tables. Their meaning is documented on the records that readers get (engine.store.records)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

from engine.store.records import Status

_STATUSES = ", ".join(f"'{status}'" for status in Status)


def _key(column: str, *, primary_key: bool = False, index: bool = False) -> Column[int]:
    """A foreign key whose rows go when what they belong to goes."""
    return Column(
        ForeignKey(column, ondelete="CASCADE"), primary_key=primary_key, index=index, nullable=False
    )


class Session(SQLModel, table=True):
    """A named group of runs."""

    __tablename__ = "session"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    created: float
    notes: str = ""
    tags: str = Field(default="[]", sa_column=Column(Text, nullable=False, server_default="[]"))
    """JSON array of texts."""
    archived: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("0")))
    deleted: float | None = None
    """When it was deleted: nobody sees it any more, but it can still be had back."""
    imported: str | None = None
    """Digest of the file that it came from (`engine.sharing`)."""


class Run(SQLModel, table=True):
    """One optimisation: what was asked for and how it stands."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="status_is_known"),
        Index("run_number", "session_id", "number", unique=True),
        Index("run_queue", "device", "status"),
        {"sqlite_autoincrement": True},  # the number of a deleted run is never given to another
    )

    id: int | None = Field(default=None, primary_key=True)
    session_id: int = Field(sa_column=_key("session.id"))
    number: int
    name: str | None = None
    spec: str = Field(sa_column=Column(Text, nullable=False))
    init: str
    target: str
    loss_name: str
    bundle: str
    bundle_digest: str | None = None
    lr: float
    """Learning rate in force: the spec's at first, then what it was last set to."""
    weights: str | None = Field(default=None, sa_column=Column(Text))
    """JSON object: the terms' weights in force, once they have been set; NULL: the spec's."""
    steps: int
    status: str
    origin: str = "recorded"
    parent_run: int | None = Field(default=None, foreign_key="run.id", ondelete="SET NULL")
    parent_step: int | None = None
    device: str
    seed: int
    worker_pid: int | None = None
    worker_start: str | None = None
    heartbeat: float | None = None
    error: str | None = None
    created: float
    started: float | None = None
    ended: float | None = None
    environment: str | None = Field(default=None, sa_column=Column(Text))
    """JSON object: what it last ran on (`engine.environment`)."""
    deleted: float | None = None
    """As a session's."""
    schedules: str | None = Field(default=None, sa_column=Column(Text))
    """JSON object: the schedules in force, once something has been set; NULL: the spec's."""


class Step(SQLModel, table=True):
    """One row of a trajectory. Written and read as plain tuples."""

    __tablename__ = "step"
    __table_args__ = (
        Index("step_match", "run", "step", sqlite_where=text("match = 1")),
        Index("step_decoded", "run", "step", sqlite_where=text("decoded_prediction IS NOT NULL")),
        {"sqlite_with_rowid": False},
    )

    run: int = Field(sa_column=_key("run.id", primary_key=True))
    step: int = Field(primary_key=True)
    loss: float | None = None
    terms: str
    """JSON object: each term's own value, before its weight."""
    similarity: float | None = None
    grad_norm: float | None = None
    z_norm: float | None = None
    lr: float | None = None
    elapsed_ms: float | None = None
    decoded_z: str | None = None
    decoded_prediction: str | None = None
    match: bool | None = None
    state_hash: str | None = None
    token_losses: str | None = Field(default=None, sa_column=Column(Text))
    """JSON array: cross-entropy of each token of the target. Behind what most readers read: it is long."""
    weights: str | None = Field(default=None, sa_column=Column(Text))
    """JSON object: the terms' weights that the loss was made with; NULL: the spec's."""
    measures: str | None = Field(default=None, sa_column=Column(Text))
    """JSON object: what is measured of a decoded row (`engine.measures`)."""
    sentences: str | None = Field(default=None, sa_column=Column(Text))
    """JSON array: what is predicted in the place of each target sentence, where there are several."""
    reread_prediction: str | None = Field(default=None, sa_column=Column(Text))
    """What is predicted from the text of z, encoded again."""


class Vector(SQLModel, table=True):
    """A kept vector: float32, little-endian, as bytes and never a pickle."""

    __tablename__ = "vector"
    __table_args__ = (
        CheckConstraint("kind IN ('init', 'z', 'prediction', 'target')", name="kind_is_known"),
        CheckConstraint("length(data) = 4 * dimension", name="data_is_float32"),
    )

    run: int = Field(sa_column=_key("run.id", primary_key=True))
    step: int = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    dimension: int
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DecodedText(SQLModel, table=True):
    """A decoded text, in the row in which it came up; rows that say the same again have none.

    The migration makes a full-text index over it, `decoded_text_index`, which two triggers keep up.
    """

    __tablename__ = "decoded_text"
    __table_args__ = (
        CheckConstraint("kind IN ('z', 'prediction')", name="kind_is_known"),
        Index("decoded_text_step", "run", "kind", "step", unique=True),
    )

    id: int | None = Field(default=None, primary_key=True)
    run: int = Field(sa_column=_key("run.id"))
    step: int
    kind: str
    text: str = Field(sa_column=Column(Text, nullable=False))


class Event(SQLModel, table=True):
    """Something that happened to a run."""

    __tablename__ = "event"
    __table_args__ = ({"sqlite_autoincrement": True},)  # readers ask for ids above the last they saw

    id: int | None = Field(default=None, primary_key=True)
    run: int = Field(sa_column=_key("run.id", index=True))
    step: int | None = None
    time: float
    kind: str
    detail: str = ""
    who: str = ""


class BreakPoint(SQLModel, table=True):
    """A condition under which a run pauses."""

    __tablename__ = "break_point"
    __table_args__ = (
        Index("break_point_condition", "run", "condition", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    run: int = Field(sa_column=_key("run.id"))
    condition: str
    created: float
    who: str


class Command(SQLModel, table=True):
    """What a viewer asks of a worker, and what became of it."""

    __tablename__ = "command"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'applied', 'rejected')", name="status_is_known"),
        Index("command_pending", "device", "id", sqlite_where=text("status = 'pending'")),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    run: int | None = Field(default=None, foreign_key="run.id", ondelete="CASCADE", index=True)
    device: str
    kind: str
    arguments: str = "{}"
    requested: float
    who: str
    status: str = "pending"
    applied_step: int | None = None
    reason: str | None = None


class Task(SQLModel, table=True):
    """Something for a worker to work out that is no run: a verification, an interpolation."""

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'running', 'done', 'failed', 'cancelled')", name="status_is_known"
        ),
        Index("task_queue", "device", "status"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    device: str
    run: int | None = Field(default=None, foreign_key="run.id", ondelete="CASCADE", index=True)
    kind: str
    arguments: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    requested: float
    who: str
    status: str = "pending"
    worker_pid: int | None = None
    worker_start: str | None = None
    done: int = 0
    """How much of `total` is done."""
    total: int | None = None
    result: str | None = Field(default=None, sa_column=Column(Text))
    """JSON object."""
    error: str | None = None
    ended: float | None = None


class Checkpoint(SQLModel, table=True):
    """The state of a run before update `step`, as safetensors bytes: enough to go on bit for bit."""

    __tablename__ = "checkpoint"

    run: int = Field(sa_column=_key("run.id", primary_key=True))
    step: int = Field(primary_key=True)
    created: float
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Worker(SQLModel, table=True):
    """The worker of a device, as it last described itself."""

    __tablename__ = "worker"

    device: str = Field(primary_key=True)
    pid: int
    start: str
    started: float
    heartbeat: float
    state: str
    idle_timeout_s: float
    log: str
    device_name: str | None = None
    memory_used: int | None = Field(default=None, sa_column=Column(BigInteger))
    memory_total: int | None = Field(default=None, sa_column=Column(BigInteger))
    utilisation: int | None = None
