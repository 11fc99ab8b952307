"""Checkpoints that others are given: noted, so that every later bag proves that history still begins with them."""

import json
import sqlite3

from command_center import facts, journal
from command_center.errors import BadRequest, NotFound
from command_center.facts import Remark

PUBLISHED = "checkpoint-published"


def note_published(
    connection: sqlite3.Connection, *, size: int, note: str, to: list[str], actor: str, at_ms: int
) -> None:
    """Somebody outside has this checkpoint now."""
    connection.execute("INSERT OR IGNORE INTO published_checkpoint VALUES (?, ?, ?)", (size, at_ms, note))
    remark = Remark(what=PUBLISHED, detail=json.dumps({"size": size, "to": to}, ensure_ascii=False))
    journal.append(connection, at_ms=at_ms, kind=PUBLISHED, actor=actor, subject="center", payload=facts.encode(remark))


def note_cosigned(connection: sqlite3.Connection, *, size: int, witness: str, line: str) -> None:
    """A witness signed the checkpoint of this size."""
    if line:
        connection.execute("INSERT OR REPLACE INTO cosignature VALUES (?, ?, ?)", (size, witness, line.strip()))


def cosignatures(connection: sqlite3.Connection, size: int) -> list[str]:
    """What witnesses signed below the checkpoint of this size."""
    rows = connection.execute("SELECT line FROM cosignature WHERE size = ? ORDER BY witness", (size,))
    return [row[0] for row in rows]


def give(connection: sqlite3.Connection, to: str, *, actor: str, at_ms: int) -> str:
    """The newest signed checkpoint, for somebody by hand.

    Raises:
        BadRequest: none was signed yet.
    """
    row = connection.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        raise BadRequest(
            "expected a signed checkpoint, found none: the center signs one when it has run for some seconds"
        )
    note_published(connection, size=row[0], note=row[1], to=[to[:200]], actor=actor, at_ms=at_ms)
    return str(row[1])


def published(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """Size and note of each that others have, the oldest first."""
    return [(row[0], row[1]) for row in connection.execute("SELECT size, note FROM published_checkpoint ORDER BY size")]


def witnessed(connection: sqlite3.Connection, origin: str) -> str:
    """The newest checkpoint of another agency's journal that is kept here.

    Raises:
        NotFound: none of that name.
    """
    row = connection.execute("SELECT note FROM witnessed WHERE origin = ?", (origin,)).fetchone()
    if row is None:
        raise NotFound(f"no checkpoint of {origin[:100]!r} is kept here: command-center witness list shows whose are")
    return str(row[0])
