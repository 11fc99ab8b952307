"""Many rows in one statement.

``executemany`` runs its statement once a row, and Python's sqlite3 gives the interpreter's lock up and takes it back each time:
beside a thread that verifies signatures that is a wait a row. A statement for many rows is run once.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final

_AT_ONCE: Final = (64, 16, 4, 2, 1)
"""Few sizes, so that each statement stays compiled in the connection's cache."""
_MOST_VALUES: Final = 32_766
"""Parameters of one statement (https://sqlite.org/limits.html)."""


def insert_rows(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[object]]) -> list[int]:
    """``INSERT INTO {into} VALUES`` for all rows, in order. ``into``: a constant table name, with its columns where not all are given.

    Returns the row ids, which follow each other within a statement; of no meaning where the caller gives them, or the table has none.

    Raises:
        ValueError: the rows are not all of one length.
    """
    at, ids = 0, list[int]()
    while at < len(rows):
        width = len(rows[at])
        count = next(size for size in _AT_ONCE if size <= len(rows) - at and size * width <= _MOST_VALUES)
        values = list(chain.from_iterable(rows[at : at + count]))
        if len(values) != count * width:
            raise ValueError(f"expected rows of {width} values for {into}, found others")
        marks = f"({', '.join('?' * width)})"
        cursor = connection.execute(f"INSERT INTO {into} VALUES {', '.join([marks] * count)}", values)  # noqa: S608  a constant name
        last = cursor.lastrowid or 0
        ids += range(last - count + 1, last + 1)
        at += count
    return ids
