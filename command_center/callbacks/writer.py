"""From journal entries to deliveries: what is told, and in which words. Runs inside one transaction with the cursor.

The body is made once and kept: every attempt signs and sends the same bytes. It names an incident as it was at that
moment; what matters later is told by a later event.
"""

import json
import secrets
import sqlite3
from datetime import UTC, datetime
from typing import Final

from command_center import journal
from command_center.api import queries
from command_center.callbacks import answers, store
from command_center.callbacks.store import Receiver
from command_center.errors import NotFound
from command_center.incidents import Quiet, State
from command_center.journal import Entry
from relay.precedence import Precedence

_EVENTS: Final = {
    "alert": "incident.opened",
    "incident-annunciated": "incident.opened",
    "incident-notified-again": "incident.notified_again",
    "acknowledgement-expired": "incident.notified_again",
    "incident-acknowledged": "incident.acknowledged",
    "retraction": "incident.retracted",
    "incident-merged": "incident.merged",
    "incident-closed": "incident.closed",
    "unit-answered": "incident.unit_answered",
}
_ANSWERABLE: Final = {"incident.opened", "incident.notified_again"}
ANSWER_WITHIN_MS: Final = 12 * 3_600_000
_AT_ONCE: Final = 500


def set_up(connection: sqlite3.Connection) -> bytes:
    """Make the key and the cursor at the first start; returns the key's seed. What happened before is told to nobody."""
    connection.execute(
        "INSERT OR IGNORE INTO callback_state VALUES (1, ?, ?)", (journal.size(connection), secrets.token_bytes(32))
    )
    seed: bytes = connection.execute("SELECT signing_key FROM callback_state").fetchone()[0]
    return seed


def is_behind(connection: sqlite3.Connection) -> bool:
    """Whether there are entries to look at."""
    row = connection.execute("SELECT upto FROM callback_state").fetchone()
    return row is not None and row[0] < journal.size(connection)


def catch_up(connection: sqlite3.Connection, *, base_url: str, now_ms: int) -> int:
    """Turn the next entries into deliveries; returns how many were made."""
    upto: int = connection.execute("SELECT upto FROM callback_state").fetchone()[0]
    told = [receiver for receiver in store.receivers(connection) if not receiver.disabled_why]
    made = 0
    for entry in journal.entries(connection, first=upto + 1, at_most=_AT_ONCE):
        upto = entry.id
        if told and entry.kind in _EVENTS and entry.subject.startswith("incident:"):
            made += _write(connection, entry, told, base_url, now_ms)
    connection.execute("UPDATE callback_state SET upto = ?", (upto,))
    connection.execute("DELETE FROM capability WHERE expires_at_ms < ?", (now_ms,))
    return made


def _write(connection: sqlite3.Connection, entry: Entry, told: list[Receiver], base_url: str, now_ms: int) -> int:
    incident_id = int(entry.subject.removeprefix("incident:"))
    event = _EVENTS[entry.kind]
    try:
        incident = queries.incident(connection, incident_id)
    except NotFound:
        return 0
    if entry.kind == "alert" and not _opens(connection, incident_id, entry.id):
        return 0
    if incident.quarantined or (event == "incident.opened" and incident.quiet != Quiet.NO.value):
        return 0
    if event == "incident.opened" and incident.state == State.CLOSED.value:
        return 0
    precedence = Precedence[incident.precedence]
    facts = {
        "id": incident.id, "number": incident.number, "state": incident.state, "label": incident.label,
        "precedence": incident.precedence, "confidence": incident.confidence, "site": incident.node.site,
        "node": incident.node.name, "camera": incident.camera, "zone": incident.zone, "alerts": incident.alert_count,
        "first_alert_at": _iso(incident.first_alert_at_ms), "returned": incident.returned, "level": incident.level,
        "acknowledged_by": incident.acknowledged_by, "disposition": incident.disposition,
    }  # fmt: skip
    made = 0
    for receiver in told:
        if receiver.only_flash and precedence is not Precedence.FLASH:
            continue
        data: dict[str, object] = {"incident": facts, "journal_entry": entry.id}
        if event in _ANSWERABLE:
            data["answer_url"] = f"{base_url}/u/{_capability(connection, receiver.name, incident_id, now_ms)}"
        body = json.dumps({"type": event, "timestamp": _iso(entry.at_ms), "data": data}, separators=(",", ":")).encode()
        connection.execute(
            "INSERT INTO delivery (id, receiver, event, incident, precedence, body, created_at_ms, next_at_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (f"msg_{secrets.token_hex(16)}", receiver.name, event, incident_id, precedence, body, now_ms, now_ms),
        )
        made += 1
    return made


def _opens(connection: sqlite3.Connection, incident_id: int, entry_id: int) -> bool:
    first = connection.execute("SELECT MIN(entry) FROM alert WHERE incident = ?", (incident_id,)).fetchone()[0]
    return bool(first == entry_id)


def _capability(connection: sqlite3.Connection, receiver: str, incident_id: int, now_ms: int) -> str:
    return answers.give(connection, receiver, incident_id, now_ms + ANSWER_WITHIN_MS)


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
