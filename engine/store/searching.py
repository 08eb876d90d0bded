"""Find which runs ever decoded to a text, in the full-text index over all decoded texts."""

import re
import secrets
from dataclasses import dataclass

from engine.store.reading import Reader

Span = tuple[int, int]
"""Characters from the first up to, and without, the second."""

MOST_HITS = 200

_TERM = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')


@dataclass(frozen=True, slots=True)
class TextHit:
    """A run that once decoded to what was looked for."""

    run: int
    session: str
    number: int
    name: str | None
    kind: str
    """Which text of the run it is: `prediction` or `z`."""
    step: int
    """The first row that has it."""
    texts: int
    """In how many of the run's different texts of the kind it is."""
    text: str
    """The text of that row, whole."""
    spans: tuple[Span, ...]
    """Where in it what was looked for stands."""


def search(
    reader: Reader, query: str, *, limit: int = MOST_HITS, with_archived: bool = False
) -> list[TextHit]:
    """The runs that ever decoded to what is looked for, newest first; each of its two texts on its own.

    All words have to be in one text, whatever their case and accents. A word with `*` behind it may go on,
    and so may the last one from its second letter on; words in quotation marks stand one after the other,
    exactly. Any text can be looked for: nothing else means anything, and what holds no letter and no digit
    is not found.

    Args:
        reader: The database.
        query: What to look for.
        limit: Most hits.
        with_archived: Look into archived sessions too.

    Raises:
        UserError: the database cannot be read.
    """
    expression = match_expression(query)
    if expression is None:
        return []
    # Run by run, newest first, along an index that holds all that is asked of a text: beyond the last hit
    # that is wanted no run is looked at, and a word that is in every text costs little more than a rare one.
    rows = reader.rows(
        "SELECT min(decoded_text.step), count(*), decoded_text.id, decoded_text.kind,"
        " run.id, session.name, run.number, run.name"
        " FROM run CROSS JOIN session ON session.id = run.session_id AND session.deleted IS NULL"
        " AND (:with_archived OR NOT session.archived)"
        " CROSS JOIN decoded_text INDEXED BY decoded_text_step ON decoded_text.run = run.id"
        " AND decoded_text.id IN (SELECT rowid FROM decoded_text_index"
        "                         WHERE decoded_text_index MATCH :expression)"
        " WHERE run.deleted IS NULL"
        " GROUP BY run.id, decoded_text.kind ORDER BY run.id DESC, decoded_text.kind LIMIT :limit",
        {"expression": expression, "with_archived": with_archived, "limit": limit},
    )
    marked = _marked_texts(reader, expression, [row[2] for row in rows])
    return [
        TextHit(run, session, number, name, kind, step, texts, *marked[key])
        for step, texts, key, kind, run, session, number, name in rows
        if key in marked  # the run was not deleted in between
    ]


def match_expression(query: str) -> str | None:
    """The FTS5 expression for what a user typed; None where there is nothing to look for in it."""
    terms = []
    found = list(_TERM.finditer(query))
    for place, term in enumerate(found):
        phrase, star, word = term.groups()
        text = phrase if word is None else word
        # What is typed goes on; a quotation mark that is still open does too.
        is_open = place == len(found) - 1 and not term.group().endswith('"')
        may_go_on = bool(star) or is_open or (word is not None and word.endswith("*"))
        printable = "".join(character if character.isprintable() else " " for character in text)
        if any(character.isalnum() for character in printable):
            is_begun = bool(star) or text.endswith("*") or len(text) > 1
            terms.append(f'"{printable}"{"*" if may_go_on and is_begun else ""}')
    return " ".join(terms) or None


def _marked_texts(
    reader: Reader, expression: str, keys: list[int]
) -> dict[int, tuple[str, tuple[Span, ...]]]:
    """The texts of some rows, and where in them what matches stands."""
    if not keys:
        return {}
    mark = secrets.token_hex(8)  # no text can hold what nobody knew when it was made
    opening, closing = f"<{mark}>", f"</{mark}>"
    # Without the sign before the second `rowid` the index would be asked anew for each of them.
    rows = reader.rows(
        "SELECT rowid, highlight(decoded_text_index, 0, ?, ?) FROM decoded_text_index"
        f" WHERE decoded_text_index MATCH ? AND rowid BETWEEN {min(keys)} AND {max(keys)}"
        f" AND +rowid IN ({', '.join('?' * len(keys))})",
        (opening, closing, expression, *keys),
    )
    return {key: _spans(marked, opening, closing) for key, marked in rows}


def _spans(marked: str, opening: str, closing: str) -> tuple[str, tuple[Span, ...]]:
    head, *rest = marked.split(opening)
    text, spans = head, []
    for piece in rest:
        inside, _, after = piece.partition(closing)
        spans.append((len(text), len(text) + len(inside)))
        text += inside + after
    return text, tuple(spans)
