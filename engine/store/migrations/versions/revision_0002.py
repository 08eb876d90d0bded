"""Weights in force, break-points, cross-entropy of each token, figures of the worker's card."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    op.add_column("run", sa.Column("weights", sa.Text(), nullable=True))
    op.add_column("step", sa.Column("token_losses", sa.Text(), nullable=True))
    op.add_column("worker", sa.Column("device_name", sa.String(), nullable=True))
    op.add_column("worker", sa.Column("memory_used", sa.BigInteger(), nullable=True))
    op.add_column("worker", sa.Column("memory_total", sa.BigInteger(), nullable=True))
    op.add_column("worker", sa.Column("utilisation", sa.Integer(), nullable=True))
    op.create_table(
        "break_point",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("break_point_condition", "break_point", ["run", "condition"], unique=True)
