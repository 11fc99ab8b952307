"""Snapshots and clips: chunks become objects, and an object counts only when its SHA-256 is the one that was signed.

Steps, each safe to repeat after a crash:

1. A chunk is a row of ``piece``, in the transaction that lets its receipt be signed. Any order, duplicates harmless.
2. When an exhibit has said how large the object is and that many bytes are here, ``due`` names it.
3. ``assemble`` writes the file, hashes it on the way, and fsyncs file and folder.
4. ``settle`` notes the object as stored, or refused, journals that, and deletes the pieces: one transaction.

A crash between 3 and 4 writes the same file again. Chunks are not journalled one by one: the exhibit's signed envelope
names the object's SHA-256, which says all that their signatures would say.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from command_center.alert_by_id import entry_of
from relay.kinds.chunk import Chunk
from relay.kinds.exhibit import Exhibit

MAX_UNANNOUNCED_BYTES: Final = 64 * 1024 * 1024
"""Pieces kept of one node whose exhibit has not come: a node can't fill the disk with pieces of nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueObject:
    """An object all of whose bytes are here."""

    node: bytes
    sha256: bytes
    size_bytes: int
    media_type: str


def announce(connection: sqlite3.Connection, node: bytes, exhibit: Exhibit) -> None:
    """Note what a node says that an alert's pictures are. They are shown for that node's own alert only."""
    for item in exhibit.items:
        connection.execute(
            "INSERT OR IGNORE INTO exhibit_item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (exhibit.alert_id, node, item.sha256, item.media_type, item.size_bytes, item.chunk_bytes, item.width_px,
             item.height_px, item.captured_wall_ms),
        )  # fmt: skip


def expect(connection: sqlite3.Connection, node: bytes, exhibit: Exhibit) -> None:
    """Expect the bytes of an exhibit's items, unless they are here."""
    for item in exhibit.items:
        if not is_stored(connection, item.sha256):
            connection.execute(
                "INSERT INTO incoming (node, sha256, size_bytes, chunk_bytes, media_type) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (node, sha256) DO UPDATE SET size_bytes = excluded.size_bytes, "
                "chunk_bytes = excluded.chunk_bytes, media_type = excluded.media_type",
                (node, item.sha256, item.size_bytes, item.chunk_bytes, item.media_type),
            )


def is_stored(connection: sqlite3.Connection, sha256: bytes) -> bool:
    """Whether an object is complete and verified."""
    return connection.execute("SELECT 1 FROM stored_object WHERE sha256 = ?", (sha256,)).fetchone() is not None


def keep_piece(connection: sqlite3.Connection, node: bytes, chunk: Chunk) -> str:
    """Store a chunk's bytes; returns how it is counted."""
    if is_stored(connection, chunk.object_sha256):
        return "chunk_not_needed"
    row = connection.execute(
        "SELECT size_bytes FROM incoming WHERE node = ? AND sha256 = ?", (node, chunk.object_sha256)
    ).fetchone()
    size_bytes = row[0] if row else None
    if size_bytes is None:
        held = connection.execute(
            "SELECT COALESCE(SUM(received_bytes), 0) FROM incoming WHERE node = ? AND size_bytes IS NULL", (node,)
        ).fetchone()[0]
        if held + len(chunk.content) > MAX_UNANNOUNCED_BYTES:
            return "chunk_refused_unannounced"
    elif chunk.offset_bytes + len(chunk.content) > size_bytes:
        return "chunk_refused_beyond_end"
    cursor = connection.execute(
        "INSERT OR IGNORE INTO piece VALUES (?, ?, ?, ?)",
        (node, chunk.object_sha256, chunk.offset_bytes, chunk.content),
    )
    if cursor.rowcount == 0:
        return "chunk_duplicate"
    connection.execute(
        "INSERT INTO incoming (node, sha256, received_bytes) VALUES (?, ?, ?) ON CONFLICT (node, sha256) DO UPDATE SET "
        "received_bytes = received_bytes + excluded.received_bytes",
        (node, chunk.object_sha256, len(chunk.content)),
    )
    return "chunk_stored"


def due(connection: sqlite3.Connection) -> list[DueObject]:
    """Objects whose bytes are all here."""
    rows = connection.execute(
        "SELECT node, sha256, size_bytes, media_type FROM incoming "
        "WHERE size_bytes IS NOT NULL AND received_bytes >= size_bytes LIMIT 16"
    )
    return [DueObject(node=r[0], sha256=r[1], size_bytes=r[2], media_type=r[3]) for r in rows]


def pieces(connection: sqlite3.Connection, wanted: DueObject) -> Iterator[bytes]:
    """An object's bytes in order. Holes and overlaps show as a wrong hash."""
    rows = connection.execute(
        "SELECT content FROM piece WHERE node = ? AND sha256 = ? ORDER BY offset_bytes", (wanted.node, wanted.sha256)
    )
    for row in rows:
        yield row[0]


def forget_pieces(connection: sqlite3.Connection, wanted: DueObject, *, is_stored: bool) -> None:
    """Delete the pieces: every node's where the object is stored, this node's where it was refused."""
    if is_stored:
        connection.execute("DELETE FROM piece WHERE sha256 = ?", (wanted.sha256,))
        connection.execute("DELETE FROM incoming WHERE sha256 = ?", (wanted.sha256,))
    else:  # the size stays known, so that the node may send the right bytes
        key = (wanted.node, wanted.sha256)
        connection.execute("DELETE FROM piece WHERE node = ? AND sha256 = ?", key)
        connection.execute("UPDATE incoming SET received_bytes = 0 WHERE node = ? AND sha256 = ?", key)


def note_stored(
    connection: sqlite3.Connection, sha256: bytes, size_bytes: int, media_type: str, at_ms: int
) -> list[int]:
    """Note a verified object; returns the incidents that it belongs to."""
    connection.execute(
        "INSERT OR IGNORE INTO stored_object VALUES (?, ?, ?, ?)", (sha256, size_bytes, media_type, at_ms)
    )
    connection.execute("DELETE FROM erased_object WHERE sha256 = ?", (sha256,))  # a node sent it again
    rows = connection.execute(
        f"SELECT a.id, a.incident FROM exhibit_item e JOIN alert a ON a.entry = {entry_of('e.alert_id')} AND a.node = e.node WHERE e.sha256 = ? ORDER BY a.entry",  # noqa: S608  a constant
        (sha256,),
    ).fetchall()
    for alert_id, _ in rows:
        show_picture(connection, alert_id)
    return sorted({row[1] for row in rows})


def show_picture(connection: sqlite3.Connection, alert_id: bytes) -> None:
    """Let an alert's stored picture stand for its incident, unless a more confident alert's does."""
    connection.execute(
        f"""UPDATE incident SET snapshot_sha256 = found.sha256, snapshot_confidence = found.confidence
           FROM (SELECT a.incident AS incident, a.confidence AS confidence, e.sha256 AS sha256
                 FROM alert a JOIN exhibit_item e ON e.alert_id = a.id AND e.node = a.node JOIN stored_object o ON o.sha256 = e.sha256
                 WHERE a.entry = {entry_of("?")} AND o.media_type LIKE 'image/%' ORDER BY e.sha256 LIMIT 1) AS found
           WHERE incident.id = found.incident AND snapshot_confidence < found.confidence""",  # noqa: S608  a constant
        (alert_id,),
    )
