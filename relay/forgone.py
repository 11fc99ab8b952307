"""Own numbers that will never come: what expired, gave way or was lost, reported upwards in every heartbeat until it is receipted.

Also, and not reported, those that an earlier receipt named and the newest, being full, had no room for: they are stored there.

Steps of the spool's own transactions over its table ``forgone``; called by ``spool`` and ``spool_check``.
"""

import sqlite3
from typing import Final

from relay.ids import NodeId
from relay.ranges import RangeSet

RECEIPTED: Final = "receipted"
"""An earlier receipt let us free it, and the newest says that it is not there."""
NAMED_BEFORE: Final = "named_before"
"""An earlier receipt let us free it, and the newest has no room to say so."""


def given(connection: sqlite3.Connection, destination: NodeId, series: int) -> RangeSet:
    """The numbers that we gave in our current numbering, if it is this one."""
    row = connection.execute(
        "SELECT last_sequence FROM stream WHERE destination = ? AND series = ?", (destination, series)
    ).fetchone()
    return RangeSet([(1, row[0])] if row and row[0] else [])


def forgo(connection: sqlite3.Connection, destination: NodeId, series: int, ranges: RangeSet, reason: str) -> None:
    """Note numbers as given up."""
    rows = [(destination, series, first, last, reason) for first, last in ranges]
    connection.executemany("INSERT OR IGNORE INTO forgone VALUES (?, ?, ?, ?, ?)", rows)


def forgive(connection: sqlite3.Connection, destination: NodeId, series: int, known: RangeSet) -> None:
    """Take numbers out of ``forgone`` again: they were receipted after all."""
    rows = connection.execute(
        "SELECT first, last, reason FROM forgone WHERE destination = ? AND series = ?", (destination, series)
    ).fetchall()
    for first, last, reason in rows:
        whole = RangeSet([(first, last)])
        rest = whole.minus(known)
        if rest == whole:
            continue
        connection.execute(
            "DELETE FROM forgone WHERE destination = ? AND series = ? AND first = ?", (destination, series, first)
        )
        for left_first, left_last in rest:
            connection.execute(
                "INSERT INTO forgone VALUES (?, ?, ?, ?, ?)", (destination, series, left_first, left_last, reason)
            )


def tell(connection: sqlite3.Connection, destination: NodeId, series: int) -> None:
    """A receipt that names all there is has come: what was named before and is in neither is not there."""
    connection.execute(
        "UPDATE forgone SET reason = ? WHERE destination = ? AND series = ? AND reason = ?",
        (RECEIPTED, destination, series, NAMED_BEFORE),
    )


def was_named(connection: sqlite3.Connection, destination: NodeId, series: int, sequence: int) -> bool:
    """Whether an earlier receipt named a number."""
    row = connection.execute(
        "SELECT 1 FROM forgone WHERE destination = ? AND series = ? AND reason = ? AND ? BETWEEN first AND last",
        (destination, series, NAMED_BEFORE, sequence),
    ).fetchone()
    return row is not None
