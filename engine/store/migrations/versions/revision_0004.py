"""What is measured of decoded rows, several target sentences, and schedules in force."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    op.add_column("run", sa.Column("schedules", sa.Text(), nullable=True))
    op.add_column("step", sa.Column("measures", sa.Text(), nullable=True))
    op.add_column("step", sa.Column("sentences", sa.Text(), nullable=True))
    op.add_column("step", sa.Column("reread_prediction", sa.Text(), nullable=True))
