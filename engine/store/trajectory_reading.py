"""Read the rows of a trajectory."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from engine.store.json_columns import as_bool, json_object
from engine.store.open_database import OpenDatabase, Row
from engine.store.records import NOTHING, Aside, SentenceRecord, StepRecord

_LOSS_CURVE = """
    WITH RECURSIVE
    ends (low, high) AS (
        SELECT (SELECT min(step) FROM step WHERE run = :run), (SELECT max(step) FROM step WHERE run = :run)
    ),
    whole (low, length, count) AS (
        SELECT low, high - low + 1, min(:points, high - low + 1) FROM ends WHERE low IS NOT NULL
    ),
    number (value) AS (
        SELECT 0 FROM whole UNION ALL SELECT value + 1 FROM number, whole WHERE value + 1 < count
    ),
    bucket (value, first, beyond) AS (
        SELECT value, low + (value * length + count - 1) / count,
            low + ((value + 1) * length + count - 1) / count
        FROM number, whole
    )
    SELECT (SELECT avg(loss) FROM step WHERE run = :run AND step >= first AND step < beyond) FROM bucket
    WHERE EXISTS (SELECT 1 FROM step WHERE run = :run AND step >= first AND step < beyond)
    ORDER BY value
"""
"""Goes through the rows once, in their order: to group them SQLite would sort them all in memory first."""

STEP_COLUMNS = (
    "run, step, loss, terms, similarity, grad_norm, z_norm, lr, elapsed_ms, "
    "decoded_z, decoded_prediction, match, state_hash, measures"
)


class TrajectoryReader(OpenDatabase):
    """Reads rows, and what is kept with them besides vectors."""

    def steps(self, run_id: int, *, after: int = -1, limit: int = 1000) -> list[StepRecord]:
        """At most `limit` rows of a trajectory beyond step `after`, in order."""
        rows = self.rows(
            f"SELECT {STEP_COLUMNS} FROM step WHERE run = ? AND step > ? ORDER BY step LIMIT ?",
            (run_id, after, limit),
        )
        return step_records(rows)

    def last_steps(self, run_id: int, *, before: int = sys.maxsize, limit: int = 1000) -> list[StepRecord]:
        """At most `limit` rows from the end of a trajectory, or of what comes before a step, in order."""
        rows = self.rows(
            f"SELECT {STEP_COLUMNS} FROM step WHERE run = ? AND step < ? ORDER BY step DESC LIMIT ?",
            (run_id, before, limit),
        )
        return step_records(rows[::-1])

    def all_steps(self, run_id: int) -> Iterator[StepRecord]:
        """The whole trajectory, read in bounded chunks."""
        after = -1
        while chunk := self.steps(run_id, after=after):
            yield from chunk
            after = chunk[-1].step

    def decoded_before(self, run_id: int, step: int) -> StepRecord | None:
        """The row of a step if it was decoded, else the last one before it that was; None: there is none."""
        rows = self.rows(
            f"SELECT {STEP_COLUMNS} FROM step WHERE run = ? AND step <= ?"
            " AND decoded_prediction IS NOT NULL ORDER BY step DESC LIMIT 1",
            (run_id, step),
        )
        return step_records(rows)[0] if rows else None

    def figures(self, run_id: int, *, after: int = -1, limit: int = 10_000) -> tuple[list[Row], list[Any]]:
        """Only the numbers of at most `limit` rows beyond step `after`, in order, for whole trajectories.

        Returns:
            Rows of step, loss, similarity, lr, grad_norm, z_norm, elapsed_ms (infinite where there is none),
            whether the prediction was decoded, whether that is the target (1, 0 or None), and what is
            measured of it (JSON or None); the terms of each row.
        """
        rows = self.rows(
            "SELECT step, ifnull(loss, 9e999), ifnull(similarity, 9e999), ifnull(lr, 9e999),"
            " ifnull(grad_norm, 9e999), ifnull(z_norm, 9e999), ifnull(elapsed_ms, 9e999),"
            " decoded_prediction IS NOT NULL, match, measures, terms"
            " FROM step WHERE run = ? AND step > ? ORDER BY step LIMIT ?",
            (run_id, after, limit),
        )
        from pydantic_core import from_json  # in a third of the time that json takes for so many objects

        return rows, from_json(f"[{','.join(row[-1] for row in rows)}]")

    def loss_curve(self, run_id: int, points: int) -> list[float | None]:
        """Mean loss in at most `points` buckets of equal length, for a sparkline; None: nothing finite."""
        rows = self.rows(
            _LOSS_CURVE,
            {"run": run_id, "points": points},
        )
        return [value for (value,) in rows]

    def token_losses(self, run_id: int, step: int) -> tuple[float | None, ...] | None:
        """Cross-entropy of each token of the target in a row, in nats; see `engine.tokens.target_pieces`.

        None: there is no such row, or they were not computed for it. None in place of one: not finite.
        """
        rows = self.rows("SELECT token_losses FROM step WHERE run = ? AND step = ?", (run_id, step))
        return tuple(json.loads(rows[0][0])) if rows and rows[0][0] is not None else None

    def sentences(self, run_id: int, step: int) -> tuple[SentenceRecord, ...]:
        """What is predicted in the place of each target sentence; nothing for a run that has only one."""
        rows = self.rows("SELECT sentences FROM step WHERE run = ? AND step = ?", (run_id, step))
        return sentence_records(rows[0][0]) if rows else ()

    def reread_prediction(self, run_id: int, step: int) -> str | None:
        """What is predicted from the text of z of a row, encoded again; None: it was not asked."""
        rows = self.rows("SELECT reread_prediction FROM step WHERE run = ? AND step = ?", (run_id, step))
        return rows[0][0] if rows else None

    def asides(self, run_id: int, first: int, last: int) -> dict[int, Aside]:
        """What the rows from one step to another say besides their texts, where they do, by step."""
        rows = self.rows(
            "SELECT step, sentences, reread_prediction FROM step WHERE run = ? AND step BETWEEN ? AND ?"
            " AND (sentences IS NOT NULL OR reread_prediction IS NOT NULL)",
            (run_id, first, last),
        )
        return {step: Aside(sentence_records(sentences), reread) for step, sentences, reread in rows}

    def row_weights(self, run_id: int, step: int) -> dict[str, float] | None:
        """The weights of the loss's terms in a row, where they are not those of the run's spec; else None."""
        rows = self.rows("SELECT weights FROM step WHERE run = ? AND step = ?", (run_id, step))
        return json_object(rows[0][0]) if rows and rows[0][0] is not None else None


def sentence_records(stored: str | None) -> tuple[SentenceRecord, ...]:
    """What is stored of a row's target sentences as records."""
    return tuple(SentenceRecord(*each) for each in json.loads(stored)) if stored else ()


def step_records(rows: Sequence[Row]) -> list[StepRecord]:
    """Rows of STEP_COLUMNS as records."""
    all_terms = json.loads(f"[{','.join(row[3] for row in rows)}]")  # one call is a third of the time of many
    return [
        StepRecord._make(
            (
                *row[:3],
                terms,
                *row[4:11],
                as_bool(row[11]),
                row[12],
                json.loads(row[13]) if row[13] else NOTHING,
            )
        )
        for row, terms in zip(rows, all_terms, strict=True)
    ]
