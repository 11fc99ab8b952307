"""Own numbers that will never come: what expired, gave way or was lost, reported upwards in every heartbeat until it is receipted.

Steps of the spool's own transactions over its table ``forgone``; called by ``spool`` and ``spool_check``.
"""

import sqlite3

from relay.ids import NodeId
from relay.ranges import RangeSet


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
