"""Checkpoints that others are given: noted, so that every later bag proves that history still begins with them."""

import json
import sqlite3

from command_center import facts, journal
from command_center.errors import BadRequest
from command_center.facts import Remark

PUBLISHED = "checkpoint-published"


def note_published(
    connection: sqlite3.Connection, *, size: int, note: str, to: list[str], actor: str, at_ms: int
) -> None:
    """Somebody outside has this checkpoint now."""
    connection.execute("INSERT OR IGNORE INTO published_checkpoint VALUES (?, ?, ?)", (size, at_ms, note))
    remark = Remark(what=PUBLISHED, detail=json.dumps({"size": size, "to": to}, ensure_ascii=False))
    journal.append(connection, at_ms=at_ms, kind=PUBLISHED, actor=actor, subject="center", payload=facts.encode(remark))


def give(connection: sqlite3.Connection, to: str, *, actor: str, at_ms: int) -> str:
    """The newest signed checkpoint, for somebody by hand.

    Raises:
        BadRequest: none was signed yet.
    """
    row = connection.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        raise BadRequest(
            "expected a signed checkpoint, found none: the centre signs one when it has run for some seconds"
        )
    note_published(connection, size=row[0], note=row[1], to=[to[:200]], actor=actor, at_ms=at_ms)
    return str(row[1])


def published(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """Size and note of each that others have, the oldest first."""
    return [(row[0], row[1]) for row in connection.execute("SELECT size, note FROM published_checkpoint ORDER BY size")]
