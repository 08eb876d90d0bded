"""Read vectors and checkpoints."""

from collections.abc import Iterator, Sequence

from engine.store.open_database import OpenDatabase
from engine.store.vectors import VectorArray, unpack


class VectorReader(OpenDatabase):
    """Reads what is kept of a run as bytes."""

    def vector(self, run_id: int, step: int, kind: str) -> VectorArray | None:
        """A stored vector, float32 (D,); kind is init, z, prediction or target. None: not kept."""
        rows = self.rows(
            "SELECT data FROM vector WHERE run = ? AND step = ? AND kind = ?", (run_id, step, kind)
        )
        return unpack(rows[0][0]) if rows else None

    def vectors(self, run_id: int, kind: str) -> Iterator[tuple[int, VectorArray]]:
        """All stored vectors of a kind with their steps, in order."""
        for step in self.vector_steps(run_id, kind):
            if (vector := self.vector(run_id, step, kind)) is not None:
                yield step, vector

    def vector_steps(self, run_id: int, kind: str) -> list[int]:
        """Steps for which a vector of a kind is stored, in order."""
        rows = self.rows("SELECT step FROM vector WHERE run = ? AND kind = ? ORDER BY step", (run_id, kind))
        return [step for (step,) in rows]

    def last_vector_step(self, run_id: int, kind: str) -> int | None:
        """The last step for which a vector of a kind is stored; None where there is none."""
        rows = self.rows("SELECT max(step) FROM vector WHERE run = ? AND kind = ?", (run_id, kind))
        step: int | None = rows[0][0]
        return step

    def vector_chunks(
        self, bundle: str, dimension: int, kinds: Sequence[str], size: int
    ) -> Iterator[tuple[list[tuple[int, int, str]], VectorArray]]:
        """All stored vectors of the runs of a bundle, as many at a time as `size` says.

        Args:
            bundle: Its name.
            dimension: D; vectors of another one are left out.
            kinds: Which kinds of vectors.
            size: Most vectors of a chunk.

        Yields:
            Run, step and kind of each vector, and the vectors, float32 (N, D).
        """
        after = 0
        # In the order in which they lie in the file: by the key's index each chunk would sort them all.
        while rows := self.rows(
            "SELECT vector.rowid, run, step, kind, data FROM vector NOT INDEXED WHERE vector.rowid > ?"
            f" AND dimension = ? AND kind IN ({', '.join('?' * len(kinds))}) AND run IN ("
            "SELECT run.id FROM run JOIN session ON session.id = run.session_id"
            " AND run.deleted IS NULL AND session.deleted IS NULL WHERE bundle = ?)"
            " ORDER BY vector.rowid LIMIT ?",
            (after, dimension, *kinds, bundle, size),
        ):
            after = rows[-1][0]
            data = b"".join(row[4] for row in rows)
            yield [row[1:4] for row in rows], unpack(data).reshape(len(rows), dimension)

    def checkpoint_steps(self, run_id: int) -> list[int]:
        """Steps before whose update the state of a run is kept, in order."""
        rows = self.rows("SELECT step FROM checkpoint WHERE run = ? ORDER BY step", (run_id,))
        return [step for (step,) in rows]

    def checkpoint(self, run_id: int, step: int) -> bytes | None:
        """The state of a run before the update of a step (`engine.steps.state`). None: not kept."""
        rows = self.rows("SELECT data FROM checkpoint WHERE run = ? AND step = ?", (run_id, step))
        return rows[0][0] if rows else None
