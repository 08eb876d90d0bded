"""Which pages of a database file a table's rows are on, by SQLite's file format, and how to spoil them."""

import os
import sqlite3
from pathlib import Path

_LEAVES = (0x0D, 0x0A)  # of a table, and of an index or a table without row ids
_INTERIORS = {0x05: 4, 0x02: 4}  # what comes first in a cell: four bytes, the number of a page


def leaf_pages(path: Path, name: str) -> list[int]:
    """The leaf pages of a table or an index, in the order of their keys."""
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    return _leaves(path.read_bytes(), root, size)


def root_page(path: Path, name: str) -> int:
    """The page that a table begins with."""
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    connection.close()
    return int(root)


def spoil(path: Path, *pages: int) -> None:
    """Overwrite pages, in place, with what is no page."""
    size = int.from_bytes(path.read_bytes()[16:18], "big")
    descriptor = os.open(path, os.O_WRONLY)
    for page in pages:
        os.pwrite(descriptor, b"\xa5" * size, (page - 1) * size)
    os.close(descriptor)


def _leaves(data: bytes, page: int, size: int) -> list[int]:
    content = data[(page - 1) * size : page * size]
    header = 100 if page == 1 else 0
    kind = content[header]
    if kind in _LEAVES:
        return [page]
    cells = int.from_bytes(content[header + 3 : header + 5], "big")
    children = []
    for cell in range(cells):
        at = int.from_bytes(content[header + 12 + 2 * cell : header + 14 + 2 * cell], "big")
        children.append(int.from_bytes(content[at : at + _INTERIORS[kind]], "big"))
    children.append(int.from_bytes(content[header + 8 : header + 12], "big"))
    return [leaf for child in children for leaf in _leaves(data, child, size)]
