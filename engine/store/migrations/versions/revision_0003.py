"""Tags, archiving, deleting; what runs and rows were made with; a search index; tasks for the worker."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_INDEX = (
    "CREATE VIRTUAL TABLE decoded_text_index USING fts5("
    "text, content='decoded_text', content_rowid='id', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER decoded_text_added AFTER INSERT ON decoded_text BEGIN"
    " INSERT INTO decoded_text_index (rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER decoded_text_removed AFTER DELETE ON decoded_text BEGIN"
    " INSERT INTO decoded_text_index (decoded_text_index, rowid, text)"
    " VALUES ('delete', old.id, old.text); END",
)

_CHANGED_TEXTS = (
    "INSERT INTO decoded_text (run, step, kind, text) SELECT run, step, '{kind}', {column} FROM ("
    " SELECT run, step, {column}, lag({column}) OVER (PARTITION BY run ORDER BY step) AS before"
    " FROM step WHERE {column} IS NOT NULL) WHERE before IS NOT {column}"
)


def upgrade() -> None:
    """Apply."""
    op.add_column("session", sa.Column("tags", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("session", sa.Column("archived", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("session", sa.Column("deleted", sa.Float(), nullable=True))
    op.add_column("session", sa.Column("imported", sa.String(), nullable=True))
    op.add_column("run", sa.Column("environment", sa.Text(), nullable=True))
    op.add_column("run", sa.Column("deleted", sa.Float(), nullable=True))
    op.add_column("step", sa.Column("weights", sa.Text(), nullable=True))
    op.create_table(
        "decoded_text",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('z', 'prediction')", name="kind_is_known"),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("decoded_text_step", "decoded_text", ["run", "kind", "step"], unique=True)
    for statement in _INDEX:
        op.execute(statement)
    for kind, column in (("z", "decoded_z"), ("prediction", "decoded_prediction")):
        op.execute(_CHANGED_TEXTS.format(kind=kind, column=column))
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("requested", sa.Float(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("worker_pid", sa.Integer(), nullable=True),
        sa.Column("worker_start", sa.String(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'done', 'failed', 'cancelled')", name="status_is_known"
        ),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("task_queue", "task", ["device", "status"])
    op.create_index("ix_task_run", "task", ["run"])
