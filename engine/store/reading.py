"""Read a database: the one reader behind live view, replay, comparison and export.

Plain sqlite3 in a read-only connection: looking never changes a file, costs no ORM, and starts fast.
"""

from engine.store.run_reading import RunReader
from engine.store.steering_reading import SteeringReader
from engine.store.trajectory_reading import TrajectoryReader
from engine.store.vector_reading import VectorReader


class Reader(RunReader, TrajectoryReader, VectorReader, SteeringReader):
    """Read-only view of one database. One thread at a time may use it; open one for each thread."""
