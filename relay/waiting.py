"""What waits in the spool for its receipt, as the sender and a stick need it. Reads the table ``envelope`` and writes nothing.

Steps of a transaction of ``relay.database.Database``; called by ``sender`` and ``courier``.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from relay.ids import EnvelopeId, NodeId
from relay.precedence import Precedence

_COLUMNS: Final = "number, id, origin, destination, series, sequence, kind, precedence, wire"


class Waiting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An envelope that has no receipt yet, as the sender needs it."""

    number: int
    id: EnvelopeId
    origin: NodeId
    destination: NodeId
    series: int
    sequence: int
    kind: int
    precedence: Precedence
    wire: bytes


def after(connection: sqlite3.Connection, precedence: int, number: int, at_most: int) -> list[Waiting]:
    """What waits with this precedence, oldest first, from past ``number`` on."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM envelope WHERE precedence = ? AND number > ? ORDER BY number LIMIT ?",  # noqa: S608
        (precedence, number, at_most),
    )
    return [_waiting(row) for row in rows]


def after_each(connection: sqlite3.Connection, past: Mapping[Precedence, int], at_most: int) -> list[Waiting]:
    """The same of several precedences, in their order, from past a number of each on."""
    found: list[Waiting] = []
    for precedence, number in past.items():
        if len(found) < at_most:
            found += after(connection, precedence, number, at_most - len(found))
    return found


def newest(connection: sqlite3.Connection, precedences: Sequence[Precedence], at_most_each: int) -> list[Waiting]:
    """The last that came of these precedences; of each the newest at the end."""
    found: list[Waiting] = []
    for precedence in precedences:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM envelope WHERE precedence = ? ORDER BY number DESC LIMIT ?",  # noqa: S608
            (precedence, at_most_each),
        ).fetchall()
        found += [_waiting(row) for row in reversed(rows)]
    return found


def read(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Waiting]:
    """Those of these numbers that still wait."""
    found: list[Waiting] = []
    for number in numbers:
        row = connection.execute(f"SELECT {_COLUMNS} FROM envelope WHERE number = ?", (number,)).fetchone()  # noqa: S608
        if row is not None:
            found.append(_waiting(row))
    return found


def _waiting(row: tuple[int, EnvelopeId, NodeId, NodeId, int, int, int, int, bytes]) -> Waiting:
    number, identifier, origin, destination, series, sequence, kind, precedence, wire = row
    return Waiting(number=number, id=identifier, origin=origin, destination=destination, series=series,
                   sequence=sequence, kind=kind, precedence=Precedence(precedence), wire=wire)  # fmt: skip
