"""The rows of a trajectory as they are written: with their vectors, texts, and what was there before.

A row that is there already (made after the checkpoint that a run went on from) is made again, as it was: with
the state, learning rate and weights of then. Made alone it is the same, bit for bit. In a run that is or was
stepped together with others it is the same but for rounding, and the one that was recorded stays.
"""

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pydantic_core import to_json

from engine.batched import BATCHED
from engine.store.records import SentenceRecord, StepRecord
from engine.store.vectors import VectorArray, pack
from engine.verdict import NUMBER_TOLERANCE

ROUNDING = {"float32": NUMBER_TOLERANCE, "bfloat16": 5e-2}
"""Allowed difference of a number of a row that is made again in other company, by the models' precision:
relative to the recorded one or absolute, whichever allows more."""

_SAID = "decoded_z, decoded_prediction, match, token_losses, measures, sentences, reread_prediction"
"""What a row says, and what is known of that."""

_NUMBERS = ("loss", "similarity", "grad_norm", "z_norm")
"""Those in which a row that is made again has to agree."""

_INTO_STEP = (
    "INTO step (run, step, loss, terms, similarity, grad_norm, z_norm, lr, elapsed_ms, state_hash, weights,"
    f" {_SAID}) VALUES (?{', ?' * 17})"
)

_KEEP_VECTOR = (
    "INSERT INTO vector (run, step, kind, dimension, data) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (run, step, kind) DO UPDATE SET dimension = excluded.dimension, data = excluded.data"
)
"""Where there is none yet, a third faster than INSERT OR REPLACE."""


@dataclass(frozen=True)
class NewRow:
    """One row of a trajectory, and what is kept with it."""

    row: StepRecord
    vectors: Mapping[str, VectorArray] = field(default_factory=dict)
    """Vectors of the step, by their kinds."""
    token_losses: Sequence[float] | None = None
    """Cross-entropy of each token of the target, of which four significant digits are kept."""
    weights: Mapping[str, float] | None = None
    """The terms' weights, where they are not the spec's."""
    sentences: Sequence[SentenceRecord] = ()
    """What is predicted in the place of each target sentence, where there are several."""
    reread_prediction: str | None = None
    """What is predicted from the text of z, encoded again."""

    @property
    def key(self) -> tuple[int, int]:
        """The run, and the step."""
        return self.row.run, self.row.step

    @property
    def weights_json(self) -> str | None:
        """The weights, as they are stored."""
        return None if self.weights is None else json.dumps(self.weights)

    @property
    def said(self) -> tuple[Any, ...]:
        """What the row says, as it is stored."""
        row, losses = self.row, self.token_losses
        return (
            row.decoded_z,
            row.decoded_prediction,
            row.match,
            None if losses is None else _rounded(losses),
            _finite_json(row.measures) if row.measures else None,
            json.dumps([[text, finite(ce), match] for text, ce, match in self.sentences])
            if self.sentences
            else None,
            self.reread_prediction,
        )


@dataclass(frozen=True)
class _Stored:
    """The row that is there already."""

    lr: float | None
    state_hash: str | None
    weights: str | None
    numbers: tuple[float | None, ...]
    said: tuple[Any, ...]

    def is_of_same_z(self, new: NewRow) -> bool:
        """Whether the row's z is the same again, bit for bit."""
        return self.state_hash == new.row.state_hash

    def is_same(self, new: NewRow) -> bool:
        """Whether the row is the same again, bit for bit."""
        return (
            self.is_of_same_z(new)
            and self.numbers[0] == finite(new.row.loss)
            and self.lr in (new.row.lr, None)  # None: it was the last one, of a run that was extended
        )

    def agrees(self, new: NewRow, tolerance: float) -> bool:
        """Whether the row is the same again but for rounding."""
        pairs = zip(self.numbers, _numbers_of(new.row), strict=True)
        return (
            self.lr in (new.row.lr, None)
            and self.weights == new.weights_json
            and all(_is_close(stored, now, tolerance) for stored, now in pairs)
        )

    def has_all_of(self, new: NewRow) -> bool:
        """Whether nothing is known of the row that is not stored."""
        return self.lr == new.row.lr and (self.said[1] is not None or new.row.decoded_prediction is None)


def append_rows(connection: sqlite3.Connection, rows: Sequence[NewRow]) -> list[str | None]:
    """Write a row of each of some trajectories in an open transaction, in the place of what is there already.

    The texts of the same z stay. If the row says something else than it did, the run has left its old
    trajectory, and what was recorded beyond it is dropped. A run goes back to its checkpoint after a crash,
    and over its last update from a break-point; it takes another way then where its lr or its weights were
    changed meanwhile.

    Returns:
        For each row, how the run has left its old trajectory, in a few words; None: it has not.
    """
    recorded = _recorded(connection, rows)
    fresh = [new for new in rows if new.key not in recorded]
    all_said = [new.said for new in fresh]
    values = (_values(new, said) for new, said in zip(fresh, all_said, strict=True))
    connection.executemany(f"INSERT {_INTO_STEP}", values)
    connection.executemany(
        _KEEP_VECTOR,
        [values for new in fresh for values in _vector_values(new.row.run, new.row.step, new.vectors)],
    )
    decoded = [(new.key, said) for new, said in zip(fresh, all_said, strict=True) if said[:2] != (None, None)]
    _index_texts(connection, decoded)
    return [_write_again(connection, new) if new.key in recorded else None for new in rows]


def _write_again(connection: sqlite3.Connection, new: NewRow) -> str | None:
    """Write a row in the place of one that is there already; return what `append_rows` does of it."""
    row, said, remade = new.row, new.said, None
    stored, rounding = _stored(connection, row), _rounding(connection, row.run)
    is_rounded = rounding is not None and stored.agrees(new, rounding)
    if is_rounded and stored.has_all_of(new):
        return None
    if not is_rounded and not stored.is_same(new):
        remade = _drop_beyond(connection, row)
    is_decoded = row.decoded_prediction is not None
    if not is_decoded and stored.said[1] is not None and (is_rounded or stored.is_of_same_z(new)):
        said = stored.said
    connection.execute(f"INSERT OR REPLACE {_INTO_STEP}", _values(new, said))
    _index_texts(connection, [(new.key, said)])
    add_vectors(connection, row.run, row.step, new.vectors)
    return remade


def add_vectors(
    connection: sqlite3.Connection, run: int, step: int, vectors: Mapping[str, VectorArray]
) -> None:
    """Keep vectors of a step in an open transaction."""
    connection.executemany(_KEEP_VECTOR, _vector_values(run, step, vectors))


def finite(value: float | None) -> float | None:
    """SQLite stores NaN as NULL anyway; infinities go the same way, so that readers need no third case."""
    return value if value is not None and math.isfinite(value) else None


def _finite_json(values: Mapping[str, float | None]) -> str:
    """Numbers as a JSON object, null in place of what is not finite."""
    return to_json(dict(values), inf_nan_mode="null").decode()  # in a fifth of the time that json takes


def _values(new: NewRow, said: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is stored of a row, with these texts."""
    row = new.row
    return (
        row.run,
        row.step,
        finite(row.loss),
        _finite_json(row.terms),
        finite(row.similarity),
        finite(row.grad_norm),
        finite(row.z_norm),
        row.lr,
        row.elapsed_ms,
        row.state_hash,
        new.weights_json,
        *said,
    )


def _vector_values(
    run: int, step: int, vectors: Mapping[str, VectorArray]
) -> list[tuple[int, int, str, int, bytes]]:
    return [(run, step, kind, vector.size, pack(vector)) for kind, vector in vectors.items()]


def _recorded(connection: sqlite3.Connection, rows: Sequence[NewRow]) -> set[tuple[int, int]]:
    """The keys of those of the rows that are there already."""
    found = connection.execute(
        f"WITH new (run, step) AS (VALUES (NULL, NULL){', (?, ?)' * len(rows)})"
        " SELECT run, step FROM new CROSS JOIN step USING (run, step)",
        [part for new in rows for part in new.key],
    )
    return set(found)


def _stored(connection: sqlite3.Connection, row: StepRecord) -> _Stored:
    """The row that is there already; there has to be one."""
    found = connection.execute(
        f"SELECT lr, state_hash, weights, {', '.join(_NUMBERS)}, {_SAID} FROM step"
        " WHERE run = ? AND step = ?",
        (row.run, row.step),
    ).fetchone()
    lr, state_hash, weights, *others = found
    numbers, said = others[: len(_NUMBERS)], others[len(_NUMBERS) :]
    return _Stored(lr, state_hash, weights, tuple(numbers), tuple(said))


def _rounding(connection: sqlite3.Connection, run: int) -> float | None:
    """How far numbers of a run may be off that is or was stepped together with others; None: it never was."""
    found = connection.execute(
        "SELECT json_extract(spec, '$.dtype') FROM run"
        " WHERE id = ? AND EXISTS (SELECT 1 FROM event WHERE event.run = run.id AND kind = ?)",
        (run, BATCHED),
    ).fetchone()
    return None if found is None else ROUNDING.get(found[0], NUMBER_TOLERANCE)


def _drop_beyond(connection: sqlite3.Connection, row: StepRecord) -> str:
    """Drop what comes after a row that is not the one that led there, and say what was dropped."""
    beyond, key = "run = ? AND step > ?", (row.run, row.step)
    (last,) = connection.execute(f"SELECT max(step) FROM step WHERE {beyond}", key).fetchone()
    if last is None:
        return f"from step {row.step} on"
    for table in ("step", "vector", "decoded_text"):
        connection.execute(f"DELETE FROM {table} WHERE {beyond}", key)
    return f"from step {row.step} on; earlier rows up to step {last} are dropped"


def _index_texts(
    connection: sqlite3.Connection, rows: Sequence[tuple[tuple[int, int], tuple[Any, ...]]]
) -> None:
    """Make what rows say searchable, where it is not what the row before says, in place of what is there.

    All of it in one statement: after each, the full-text index writes out what it has of the transaction.

    Args:
        connection: in a transaction.
        rows: key of each, and what it says.
    """
    connection.executemany(
        "DELETE FROM decoded_text WHERE run = ? AND step = ? AND kind IN ('z', 'prediction')",
        [key for key, _ in rows],
    )
    texts = [
        (*key, kind, text)
        for key, said in rows
        for kind, text in zip(("z", "prediction"), said[:2], strict=True)
        if text is not None
    ]
    if texts:
        connection.execute(
            "INSERT INTO decoded_text (run, step, kind, text)"
            f" WITH new (run, step, kind, text) AS (VALUES {', '.join(['(?, ?, ?, ?)'] * len(texts))})"
            " SELECT run, step, kind, text FROM new WHERE text IS NOT ("
            "SELECT text FROM decoded_text AS old"
            " WHERE old.run = new.run AND old.kind = new.kind AND old.step < new.step"
            " ORDER BY old.step DESC LIMIT 1)",
            list(chain.from_iterable(texts)),
        )


def _numbers_of(row: StepRecord) -> tuple[float | None, ...]:
    return tuple(finite(getattr(row, name)) for name in _NUMBERS)


def _is_close(stored: float | None, now: float | None, tolerance: float) -> bool:
    if stored is None or now is None:
        return stored is now
    return abs(stored - now) <= tolerance * max(1.0, abs(stored))


def _rounded(values: Sequence[float]) -> str:
    """Numbers as a JSON array, with four significant digits."""
    text = ", ".join([f"{value:.4g}" for value in values])
    if "n" in text:  # of `inf` or `nan`
        text = ", ".join([f"{value:.4g}" if math.isfinite(value) else "null" for value in values])
    return f"[{text}]"
