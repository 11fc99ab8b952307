"""From custody's journal entries to its views; live and replay run the same."""

import json
import sqlite3
from collections.abc import Callable
from typing import Final

from command_center.custody.facts import Erasure, Hold, Redaction
from command_center.facts import decode
from command_center.journal import Entry

HELD, RELEASED, ERASED, REDACTED = "hold-placed", "hold-released", "object-erased", "redaction-set"


def apply_held(connection: sqlite3.Connection, entry: Entry) -> None:
    """An incident is on hold."""
    fact = decode(entry.payload, Hold)
    connection.execute(
        "INSERT OR REPLACE INTO legal_hold VALUES (?, ?, ?, ?)", (fact.incident, fact.by, fact.reason, entry.at_ms)
    )


def apply_released(connection: sqlite3.Connection, entry: Entry) -> None:
    """It is not any more."""
    connection.execute("DELETE FROM legal_hold WHERE incident = ?", (decode(entry.payload, Hold).incident,))


def apply_erased(connection: sqlite3.Connection, entry: Entry) -> None:
    """An object's bytes are gone; its tombstone stands."""
    fact = decode(entry.payload, Erasure)
    connection.execute("DELETE FROM stored_object WHERE sha256 = ?", (fact.sha256,))
    connection.execute("INSERT OR REPLACE INTO erased_object VALUES (?, ?, ?, ?, ?, ?)",
                       (fact.sha256, fact.size_bytes, fact.media_type, entry.id, entry.at_ms, fact.reason))  # fmt: skip
    connection.execute(
        "UPDATE incident SET snapshot_sha256 = NULL, snapshot_confidence = -1 WHERE snapshot_sha256 = ?", (fact.sha256,)
    )


def apply_redacted(connection: sqlite3.Connection, entry: Entry) -> None:
    """How a picture is given away."""
    fact = decode(entry.payload, Redaction)
    connection.execute("DELETE FROM redaction WHERE sha256 = ?", (fact.sha256,))
    if fact.mode:
        connection.execute("INSERT INTO redaction VALUES (?, ?, ?, ?, ?, ?, ?)",
                           (fact.sha256, fact.mode, json.dumps(fact.regions_px), fact.by, fact.reason, entry.id,
                            entry.at_ms))  # fmt: skip


APPLIERS: Final[dict[str, Callable[[sqlite3.Connection, Entry], None]]] = {
    HELD: apply_held, RELEASED: apply_released, ERASED: apply_erased, REDACTED: apply_redacted,
}  # fmt: skip
