"""Snapshots on legal hold: which envelopes of the spool carry the picture of an alert, so that they can be pinned there.

A snapshot lies nowhere but in the spool until the center has it, and under pressure PRIORITY gives way to alerts. What is on hold does
not. Rows are written in the transaction that spools the picture; the spool's own share for pinned bytes bounds them.
"""

import sqlite3
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from relay import spool_room
from relay.schema_steps import steps_in
from relay.spool_room import SpoolLimits

PART: Final = "snapshot_hold"
_KEPT: Final = 100_000
"""Rows, some ten for a picture: the oldest are of pictures that the center has long had."""

SCHEMA: Final = steps_in(files("camera_node").joinpath("schema", "snapshot_hold"))


def note(connection: sqlite3.Connection, alert_id: bytes, envelope_ids: Sequence[bytes]) -> None:
    """Remember what carries an alert's picture; pinned at once if the alert is on hold already."""
    connection.executemany("INSERT INTO snapshot_part (alert_id, envelope_id) VALUES (?, ?)",
                           [(alert_id, envelope_id) for envelope_id in envelope_ids])  # fmt: skip
    connection.execute(
        "DELETE FROM snapshot_part WHERE number <= (SELECT max(number) FROM snapshot_part) - ?", (_KEPT,)
    )
    if connection.execute("SELECT 1 FROM clip_hold WHERE alert_id = ?", (alert_id,)).fetchone():
        connection.executemany(
            "INSERT OR IGNORE INTO pinned VALUES (?)", [(envelope_id,) for envelope_id in envelope_ids]
        )


def hold(connection: sqlite3.Connection, alert_id: bytes, limits: SpoolLimits) -> None:
    """Pin what is still here of an alert's picture.

    Raises:
        SpoolFull: more is pinned already than may be.
    """
    spool_room.pin(connection, limits, _parts(connection, alert_id))


def let_go(connection: sqlite3.Connection) -> None:
    """Unpin what belongs to no alert on hold."""
    rows = connection.execute(
        "SELECT p.envelope_id FROM snapshot_part p JOIN pinned ON pinned.id = p.envelope_id "
        "WHERE NOT EXISTS (SELECT 1 FROM clip_hold h WHERE h.alert_id = p.alert_id)"
    ).fetchall()
    spool_room.unpin(connection, [row[0] for row in rows])


def _parts(connection: sqlite3.Connection, alert_id: bytes) -> list[bytes]:
    return [
        row[0] for row in connection.execute("SELECT envelope_id FROM snapshot_part WHERE alert_id = ?", (alert_id,))
    ]
