"""Legal hold: nothing of these incidents may go, at the center or at a node, until a person lets them go.

A hold covers an incident, what people merged into it, and what alerts join either later. Nodes are told by an instruction for each
alert (``clip_orders``); a node that can't be reached now is told when it can.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from command_center import facts, journal
from command_center.alert_by_id import entry_of
from command_center.custody import appliers, clip_orders
from command_center.custody.facts import Hold
from command_center.errors import NotPossible
from command_center.incident_store import number_of

_ALERTS: Final = "SELECT id, node FROM alert WHERE incident IN (SELECT i.id FROM incident i WHERE i.id = ?1 OR i.merged_into = ?1) ORDER BY entry"
_OUTCOMES: Final = (
    "SELECT o.outcome, COUNT(*) FROM alert a JOIN clip_order o ON o.id = (SELECT MAX(id) FROM clip_order WHERE alert_id = a.id "
    "AND verb = 'hold') WHERE a.incident IN (SELECT i.id FROM incident i WHERE i.id = ?1 OR i.merged_into = ?1) GROUP BY o.outcome"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldView:
    """An incident on hold."""

    incident: int
    number: str
    by: str
    reason: str
    at_ms: int
    told: int
    """Alerts whose node says that it keeps the clip, or has none."""
    gone: int
    """Alerts whose clip was gone before."""
    waiting: int
    """Alerts whose node has not answered."""


def place(connection: sqlite3.Connection, incident: int, *, by: str, role: str, reason: str, at_ms: int) -> None:
    """Put an incident on hold.

    Raises:
        NotPossible: no reason, or it is on hold already.
    """
    if not reason.strip():
        raise NotPossible("expected a reason for the hold, found none: name the case or the request")
    if is_held(connection, incident):
        raise NotPossible(f"incident {incident} is on hold already")
    _write(connection, appliers.HELD, Hold(incident=incident, by=by, role=role, reason=reason.strip()[:500]), at_ms)
    for alert_id, node in _alerts(connection, incident):
        clip_orders.ask(connection, node=node, alert_id=alert_id, verb="hold", reason=reason, at_ms=at_ms)


def release(connection: sqlite3.Connection, incident: int, *, by: str, role: str, reason: str, at_ms: int) -> None:
    """Let an incident go.

    Raises:
        NotPossible: no reason, or it is not on hold.
    """
    if not reason.strip():
        raise NotPossible("expected a reason for the release, found none: say who decided it")
    if connection.execute("SELECT 1 FROM legal_hold WHERE incident = ?", (incident,)).fetchone() is None:
        raise NotPossible(f"incident {incident} is not on hold: command-center holds shows those that are")
    _write(connection, appliers.RELEASED, Hold(incident=incident, by=by, role=role, reason=reason.strip()[:500]), at_ms)
    for alert_id, node in _alerts(connection, incident):
        if not is_alert_held(connection, alert_id):
            clip_orders.ask(connection, node=node, alert_id=alert_id, verb="release", reason=reason, at_ms=at_ms)


def alert_joined(connection: sqlite3.Connection, incident: int, node: bytes, alert_id: bytes, at_ms: int) -> None:
    """An alert came to an incident: if that is on hold, so is the alert's clip. Called by ingest."""
    if is_held(connection, incident):
        clip_orders.ask(
            connection, node=node, alert_id=alert_id, verb="hold", reason="its incident is on hold", at_ms=at_ms
        )


def is_held(connection: sqlite3.Connection, incident: int) -> bool:
    """Whether an incident, or the one that it was merged into, is on hold."""
    query = "SELECT 1 FROM legal_hold h JOIN incident i ON h.incident IN (i.id, i.merged_into) WHERE i.id = ? LIMIT 1"
    return connection.execute(query, (incident,)).fetchone() is not None


def is_alert_held(connection: sqlite3.Connection, alert_id: bytes) -> bool:
    """Whether an alert's incident is on hold."""
    row = connection.execute(f"SELECT incident FROM alert WHERE entry = {entry_of('?')}", (alert_id,)).fetchone()  # noqa: S608  a constant
    return row is not None and is_held(connection, row[0])


def views(connection: sqlite3.Connection) -> list[HoldView]:
    """Everything on hold, the newest first."""
    found: list[HoldView] = []
    rows = connection.execute(
        "SELECT h.incident, i.first_alert_at_ms, h.by, h.reason, h.at_ms FROM legal_hold h JOIN incident i ON i.id = h.incident "
        "ORDER BY h.at_ms DESC, h.incident DESC"
    ).fetchall()
    for incident, first_ms, by, reason, at_ms in rows:
        outcomes = connection.execute(_OUTCOMES, (incident,)).fetchall()
        counts: dict[int | None, int] = dict(outcomes)
        found.append(HoldView(incident=incident, number=number_of(incident, first_ms), by=by, reason=reason, at_ms=at_ms,
                              told=counts.get(1, 0), gone=counts.get(3, 0), waiting=counts.get(None, 0)))  # fmt: skip
    return found


def _alerts(connection: sqlite3.Connection, incident: int) -> list[tuple[bytes, bytes]]:
    rows = connection.execute(_ALERTS, (incident,))
    return [(row[0], row[1]) for row in rows]


def _write(connection: sqlite3.Connection, kind: str, fact: Hold, at_ms: int) -> None:
    entry = journal.append(connection, at_ms=at_ms, kind=kind, actor=f"user:{fact.by}",
                           subject=f"incident:{fact.incident}", payload=facts.encode(fact))  # fmt: skip
    appliers.APPLIERS[kind](connection, entry)
