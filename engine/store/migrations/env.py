"""Alembic's environment: migrate the connection that `engine.store.schema.prepare` hands over."""

from alembic import context
from sqlmodel import SQLModel

import engine.store.tables  # noqa: F401  (its classes fill the metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
context.run_migrations()
