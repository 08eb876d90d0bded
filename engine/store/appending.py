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
from typing import Any

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
            None if losses is None else f"[{', '.join(map(_rounded, losses))}]",
            json.dumps({name: finite(value) for name, value in row.measures.items()})
            if row.measures
            else None,
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


def append_row(connection: sqlite3.Connection, new: NewRow) -> str | None:
    """Write a row in an open transaction, in the place of one that is there already.

    The texts of the same z stay. If the row says something else than it did, the run has left its old
    trajectory, and what was recorded beyond it is dropped. A run goes back to its checkpoint after a crash,
    and over its last update from a break-point; it takes another way then where its lr or its weights were
    changed meanwhile.

    Returns:
        How the run has left its old trajectory, in a few words; None: it has not.
    """
    row, said, remade = new.row, new.said, None
    if (stored := _stored(connection, row)) is not None:
        rounding = _rounding(connection, row.run)
        is_rounded = rounding is not None and stored.agrees(new, rounding)
        if is_rounded and stored.has_all_of(new):
            return None
        if not is_rounded and not stored.is_same(new):
            remade = _drop_beyond(connection, row)
        is_decoded = row.decoded_prediction is not None
        if not is_decoded and stored.said[1] is not None and (is_rounded or stored.is_of_same_z(new)):
            said = stored.said
    connection.execute(
        "INSERT OR REPLACE INTO step (run, step, loss, terms, similarity, grad_norm, z_norm, lr,"
        f" elapsed_ms, state_hash, weights, {_SAID}) VALUES (?{', ?' * 17})",
        (
            row.run,
            row.step,
            finite(row.loss),
            json.dumps({name: finite(value) for name, value in row.terms.items()}),
            finite(row.similarity),
            finite(row.grad_norm),
            finite(row.z_norm),
            row.lr,
            row.elapsed_ms,
            row.state_hash,
            new.weights_json,
            *said,
        ),
    )
    for kind, text in (("z", said[0]), ("prediction", said[1])):
        if text is not None or stored is not None:
            _index_text(connection, row, kind, text)
    add_vectors(connection, row.run, row.step, new.vectors)
    return remade


def add_vectors(
    connection: sqlite3.Connection, run: int, step: int, vectors: Mapping[str, VectorArray]
) -> None:
    """Keep vectors of a step in an open transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO vector (run, step, kind, dimension, data) VALUES (?, ?, ?, ?, ?)",
        [(run, step, kind, vector.size, pack(vector)) for kind, vector in vectors.items()],
    )


def finite(value: float | None) -> float | None:
    """SQLite stores NaN as NULL anyway; infinities go the same way, so that readers need no third case."""
    return value if value is not None and math.isfinite(value) else None


def _stored(connection: sqlite3.Connection, row: StepRecord) -> _Stored | None:
    found = connection.execute(
        f"SELECT lr, state_hash, weights, {', '.join(_NUMBERS)}, {_SAID} FROM step"
        " WHERE run = ? AND step = ?",
        (row.run, row.step),
    ).fetchone()
    if found is None:
        return None
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


def _index_text(connection: sqlite3.Connection, row: StepRecord, kind: str, text: str | None) -> None:
    """Make a decoded text of a row searchable where it is not what the row before says."""
    rows = connection.execute(
        "SELECT step, text FROM decoded_text WHERE run = ? AND kind = ? AND step <= ?"
        " ORDER BY step DESC LIMIT 2",
        (row.run, kind, row.step),
    ).fetchall()
    if rows and rows[0][0] == row.step:  # the row is made again
        if rows[0][1] == text:
            return
        connection.execute(
            "DELETE FROM decoded_text WHERE run = ? AND kind = ? AND step = ?", (row.run, kind, row.step)
        )
        del rows[0]
    if text is not None and not (rows and rows[0][1] == text):
        connection.execute(
            "INSERT INTO decoded_text (run, step, kind, text) VALUES (?, ?, ?, ?)",
            (row.run, row.step, kind, text),
        )


def _numbers_of(row: StepRecord) -> tuple[float | None, ...]:
    return tuple(finite(getattr(row, name)) for name in _NUMBERS)


def _is_close(stored: float | None, now: float | None, tolerance: float) -> bool:
    if stored is None or now is None:
        return stored is now
    return abs(stored - now) <= tolerance * max(1.0, abs(stored))


def _rounded(value: float) -> str:
    """A number as JSON, with four significant digits."""
    return f"{value:.4g}" if math.isfinite(value) else "null"
