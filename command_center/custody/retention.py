"""Retention: pictures and clips of closed incidents are deleted after their time, and each leaves a tombstone in the journal.

What is deleted is bytes; what nodes signed about them, and every proof, stays. Nothing on hold goes, and nothing that an open
incident, or one whose time is not over, shows too. Only an order (``one``) makes an exception from time, and none from holds. Steps, each safe to repeat after a kill:

1. One transaction journals the tombstone, takes the object out of the views, and notes the file in ``unlinking``.
2. The file is deleted, and its folder fsynced.
3. The note goes. A start finishes what an earlier run noted.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from command_center import facts, journal
from command_center.alert_by_id import entry_of
from command_center.blobs import BlobStore
from command_center.custody import appliers
from command_center.custody.facts import Erasure
from command_center.custody.holds import is_held
from command_center.errors import NotFound
from relay.database import Database

DAY_MS: Final = 86_400_000
_IN_ONE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """An object whose time is over."""

    sha256: bytes
    size_bytes: int
    media_type: str
    incidents: tuple[int, ...]


def doomed(connection: sqlite3.Connection, before_ms: int, at_most: int = -1) -> list[Doomed]:
    """Objects all of whose incidents were closed before then, and of which none is on hold; those of no incident by their arrival."""
    rows = connection.execute(
        "SELECT o.sha256, o.size_bytes, o.media_type FROM stored_object o WHERE o.stored_at_ms < ?1 AND NOT EXISTS ("  # noqa: S608  a constant
        f"SELECT 1 FROM exhibit_item e JOIN alert a ON a.entry = {entry_of('e.alert_id')} AND a.node = e.node JOIN incident i ON i.id = a.incident "
        "WHERE e.sha256 = o.sha256 AND (i.state <> 'closed' OR i.closed_at_ms >= ?1 "
        "OR EXISTS (SELECT 1 FROM legal_hold h WHERE h.incident IN (i.id, i.merged_into)))) ORDER BY o.stored_at_ms, o.sha256 LIMIT ?2",
        (before_ms, at_most),
    ).fetchall()
    return [
        Doomed(sha256=row[0], size_bytes=row[1], media_type=row[2], incidents=_incidents(connection, row[0]))
        for row in rows
    ]


def one(connection: sqlite3.Connection, sha256: bytes) -> Doomed:
    """An object that is to go before its time.

    Raises:
        NotFound: it is not here.
    """
    row = connection.execute("SELECT size_bytes, media_type FROM stored_object WHERE sha256 = ?", (sha256,)).fetchone()
    if row is None:
        raise NotFound(
            f"no picture or clip {sha256.hex()} is here: the console and each bag's media/ name them by their SHA-256"
        )
    return Doomed(sha256=sha256, size_bytes=row[0], media_type=row[1], incidents=_incidents(connection, sha256))


def erase(connection: sqlite3.Connection, found: Doomed, *, actor: str, reason: str, at_ms: int) -> bool:
    """Write the tombstone; False if it came on hold meanwhile."""
    if any(is_held(connection, incident) for incident in found.incidents):
        return False
    fact = Erasure(sha256=found.sha256, size_bytes=found.size_bytes, media_type=found.media_type, incidents=found.incidents,
                   reason=reason)  # fmt: skip
    entry = journal.append(connection, at_ms=at_ms, kind=appliers.ERASED, actor=actor, subject=f"object:{found.sha256.hex()}",
                           payload=facts.encode(fact))  # fmt: skip
    appliers.apply_erased(connection, entry)
    connection.execute("INSERT OR IGNORE INTO unlinking VALUES (?)", (found.sha256,))
    return True


def keep(database: Database, blobs: BlobStore, *, days: float, now_ms: int, actor: str) -> list[Doomed]:
    """Delete everything whose time is over; returns what went. Blocking: not on the event loop."""
    gone: list[Doomed] = []
    before_ms = now_ms - round(days * DAY_MS)
    reason = f"retention of {days:g} days"

    def portion(connection: sqlite3.Connection) -> list[Doomed]:
        found = doomed(connection, before_ms, _IN_ONE)
        return [one for one in found if erase(connection, one, actor=actor, reason=reason, at_ms=now_ms)]

    while went := database.run_blocking(portion):
        gone += went
        unlink(database, blobs)
    return gone


def unlink(database: Database, blobs: BlobStore) -> None:
    """Delete the files that are noted. Blocking."""
    for sha256 in database.run_blocking(lambda c: [row[0] for row in c.execute("SELECT sha256 FROM unlinking")]):

        def settle(connection: sqlite3.Connection, sha256: bytes = sha256) -> bool:
            """The file goes only while the tombstone stands: the node may have sent the object again meanwhile."""
            row = connection.execute("SELECT 1 FROM stored_object WHERE sha256 = ?", (sha256,)).fetchone()
            if row is None:
                blobs.delete(sha256)
            connection.execute("DELETE FROM unlinking WHERE sha256 = ?", (sha256,))
            return row is None

        database.run_blocking(settle)


def _incidents(connection: sqlite3.Connection, sha256: bytes) -> tuple[int, ...]:
    rows = connection.execute(
        f"SELECT DISTINCT a.incident FROM exhibit_item e JOIN alert a ON a.entry = {entry_of('e.alert_id')} AND a.node = e.node WHERE e.sha256 = ? "  # noqa: S608  a constant
        "ORDER BY a.incident", (sha256,),
    )  # fmt: skip
    return tuple(row[0] for row in rows)
