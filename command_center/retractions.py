"""What it makes of the views that a node takes an alert of its own back, whether the alert is here already or comes later.

Alerts race over several paths, so a retraction may overtake its alert. It is remembered then, and applied in the transaction that
stores the alert. Only the alert's own node can take it back; the first of its retractions counts. Live and replay run the same
functions.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from command_center.alert_by_id import entry_of
from command_center.facts import EnvelopeStored
from relay.envelope import Envelope
from relay.kinds.retraction import Retraction

_IDS_IN_ONE_QUERY: Final = 500


def apply(
    connection: sqlite3.Connection, envelope: Envelope, body: Retraction, stored: EnvelopeStored, entry_id: int
) -> int | None:
    """A node takes back one of its own alerts, or one that is not here yet, which is remembered.

    Returns the incident that it touched; None if there is none: not yet, not its own, or taken back already.
    """
    node, at_ms = envelope.header.origin, stored.received_wall_ms
    why = reason_of(body)
    incident = _take_back(connection, body.alert_id, node, at_ms, why)
    if incident is None:
        connection.execute(
            f"INSERT OR IGNORE INTO early_retraction SELECT ?1, ?2, ?3, ?4, ?5 WHERE {entry_of('?1')} IS NULL",
            (body.alert_id, node, entry_id, at_ms, why),
        )
    return incident


def reason_of(body: Retraction) -> str:
    """Why, as it stands at the alert."""
    return ": ".join(part for part in (body.ground.name.lower(), body.note) if part)


def apply_early(connection: sqlite3.Connection, alert_ids: Sequence[object]) -> int:
    """Alerts were just stored: take back those that their nodes took back before. Returns how many."""
    if connection.execute("SELECT 1 FROM early_retraction LIMIT 1").fetchone() is None:
        return 0
    count = 0
    for at in range(0, len(alert_ids), _IDS_IN_ONE_QUERY):
        some = alert_ids[at : at + _IDS_IN_ONE_QUERY]
        marks = ", ".join("?" * len(some))
        query = f"SELECT alert_id, node, retracted_at_ms, retraction FROM early_retraction WHERE alert_id IN ({marks})"  # noqa: S608  question marks
        for row in connection.execute(query, some).fetchall():
            count += _take_back(connection, *row) is not None
    return count


def came_before(connection: sqlite3.Connection, alert_entry: int) -> bool:
    """Whether the alert of this journal entry was taken back before it came."""
    query = "SELECT 1 FROM alert a JOIN early_retraction r ON r.alert_id = a.id AND r.node = a.node WHERE a.entry = ?"
    return connection.execute(query, (alert_entry,)).fetchone() is not None


def early_entries(connection: sqlite3.Connection, incident_id: int) -> list[int]:
    """The journal entries that took alerts of an incident back before they came: they stand under the node, not the incident."""
    rows = connection.execute(
        "SELECT r.entry FROM alert a CROSS JOIN early_retraction r ON r.alert_id = a.id AND r.node = a.node "
        "WHERE a.incident = ? ORDER BY r.entry",
        (incident_id,),
    )
    return [row[0] for row in rows]


def _take_back(connection: sqlite3.Connection, alert_id: bytes, node: bytes, at_ms: int, why: str) -> int | None:
    row = connection.execute(
        f"UPDATE alert SET retracted_at_ms = ?, retraction = ? WHERE entry = {entry_of('?')} AND node = ? "  # noqa: S608  a constant
        "AND retracted_at_ms IS NULL RETURNING incident",
        (at_ms, why, alert_id, node),
    ).fetchone()
    if row is None:
        return None
    connection.execute("UPDATE incident SET retracted_count = retracted_count + 1 WHERE id = ?", (row[0],))
    return int(row[0])
