"""The SQLAlchemy side of a connection, for the few rows that are written as SQLModel objects."""

from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from engine.store.connection import connect


def open_engine(path: Path) -> Engine:
    """An engine over `engine.store.connection.connect`, whose transactions are BEGIN IMMEDIATE."""
    engine = create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
