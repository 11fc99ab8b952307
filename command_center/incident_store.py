"""The rows of incidents and alerts: views of the journal, written in its transaction. Rules are in ``incidents``."""

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from command_center.errors import NotFound
from command_center.incidents import Disposition, Incident, Place, Quiet, Sighting, State
from relay.envelope import Envelope
from relay.kinds.alert import Alert
from relay.precedence import Precedence
from relay.row_insert import insert_rows

_COLUMNS: Final = (
    "id, version, state, node, camera, label, is_quarantined, precedence, alert_count, first_series, first_boot, "
    "first_monotonic_ms, first_received_ms, series, boot, last_monotonic_ms, last_alert_at_ms, acknowledged_by, "
    "acknowledged_at_ms, closed_by, closed_at_ms, disposition, level, quiet, merged_into, "
    "retracted_count >= alert_count AS is_returned"
)


def load(connection: sqlite3.Connection, incident_id: int) -> Incident:
    """One incident.

    Raises:
        NotFound: there is none with this id.
    """
    row = connection.execute(f"SELECT {_COLUMNS} FROM incident WHERE id = ?", (incident_id,)).fetchone()  # noqa: S608  a constant
    if row is None:
        raise NotFound(f"there is no incident {incident_id}")
    return _from_row(row)


def open_at(connection: sqlite3.Connection, place: Place) -> list[Incident]:
    """The latest open incidents of a place, the latest first: what an alert from there may join."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM incident WHERE node = ? AND camera = ? AND label = ? AND is_quarantined = ? "  # noqa: S608  a constant
        "AND state <> 'closed' ORDER BY id DESC LIMIT 20",
        (place.node, place.camera, place.label, place.is_quarantined),
    )
    return [_from_row(row) for row in rows.fetchall()]


def next_id(connection: sqlite3.Connection) -> int:
    """Of the next incident."""
    return int(connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM incident").fetchone()[0])


def insert_alerts(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows of ``alert``."""
    insert_rows(connection, "alert", rows)


def insert(connection: sqlite3.Connection, envelope: Envelope, alert: Alert, incident: Incident) -> None:
    """Write a new incident around its first alert."""
    header = envelope.header
    first, last = incident.first, incident.last
    row: dict[str, object] = {
        "id": incident.id, "version": 1, "state": incident.state.value, "node": header.origin, "camera": alert.camera,
        "label": alert.label, "zone": alert.zone, "precedence": int(header.precedence),
        "is_quarantined": int(incident.place.is_quarantined), "confidence": alert.confidence,
        "rule": alert.rule.name.lower(), "alert_count": 1,
        "first_alert_at_ms": first.received_at_ms, "last_alert_at_ms": last.received_at_ms,
        "sighted_at_ms": max(0, header.wall_ms - alert.age_ms), "clock_quality": header.quality.name,
        "x1": alert.box_xyxy[0], "y1": alert.box_xyxy[1], "x2": alert.box_xyxy[2], "y2": alert.box_xyxy[3],
        "series": last.series, "boot": last.boot, "first_series": first.series, "first_boot": first.boot,
        "first_monotonic_ms": first.monotonic_ms, "last_monotonic_ms": last.monotonic_ms,
        "first_received_ms": first.received_at_ms, "quiet": incident.quiet.value,
        "announced_at_ms": 0 if incident.quiet is not Quiet.NO or incident.place.is_quarantined else first.received_at_ms,
    }  # fmt: skip
    names = ", ".join(row)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO incident ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608  constant names


def update(
    connection: sqlite3.Connection, moved: Sequence[tuple[Incident, float, tuple[float, float, float, float]]]
) -> None:
    """Write incidents that alerts have joined, each with the most confident of those alerts: its confidence and box."""
    connection.executemany(
        "UPDATE incident SET alert_count = ?1, last_alert_at_ms = ?2, series = ?3, boot = ?4, first_monotonic_ms = ?5, "
        "last_monotonic_ms = ?6, x1 = iif(confidence < ?12, ?8, x1), y1 = iif(confidence < ?12, ?9, y1), "
        "x2 = iif(confidence < ?12, ?10, x2), y2 = iif(confidence < ?12, ?11, y2), confidence = max(confidence, ?12) WHERE id = ?7",
        [(incident.alert_count, incident.last.received_at_ms, incident.last.series, incident.last.boot,
          incident.first.monotonic_ms, incident.last.monotonic_ms, incident.id, *box, confidence)
         for incident, confidence, box in moved],
    )  # fmt: skip


def alert_ids(connection: sqlite3.Connection, incident_id: int) -> list[bytes]:
    """The envelope ids of an incident's alerts, in order of receipt."""
    rows = connection.execute("SELECT id FROM alert WHERE incident = ? ORDER BY entry", (incident_id,))
    return [row[0] for row in rows]


def number_of(incident_id: int, first_alert_at_ms: int) -> str:
    """The name that people use: the year is that of the first alert's receipt, UTC."""
    return f"INC-{time.gmtime(first_alert_at_ms / 1000).tm_year}-{incident_id:06d}"


def _from_row(row: Sequence[object]) -> Incident:
    (incident_id, version, state, node, camera, label, quarantined, precedence, alert_count, first_series, first_boot,
     first_monotonic, first_received, series, boot, last_monotonic, last_at, acknowledged_by, acknowledged_at, closed_by,
     closed_at, disposition, level, quiet, merged_into, is_returned) = row  # fmt: skip
    assert isinstance(node, bytes)
    return Incident(
        id=_int(incident_id), version=_int(version), state=State(state), alert_count=_int(alert_count),
        place=Place(node=node, camera=str(camera), label=str(label), is_quarantined=bool(quarantined)),
        precedence=Precedence(_int(precedence)),
        first=Sighting(series=_int(first_series), boot=_int(first_boot), monotonic_ms=_int(first_monotonic),
                       received_at_ms=_int(first_received)),
        last=Sighting(series=_int(series), boot=_int(boot), monotonic_ms=_int(last_monotonic),
                      received_at_ms=_int(last_at)),
        acknowledged_by=None if acknowledged_by is None else str(acknowledged_by),
        acknowledged_at_ms=None if acknowledged_at is None else _int(acknowledged_at),
        closed_by=None if closed_by is None else str(closed_by),
        closed_at_ms=None if closed_at is None else _int(closed_at),
        disposition=None if disposition is None else Disposition(disposition), level=_int(level), quiet=Quiet(quiet),
        merged_into=None if merged_into is None else _int(merged_into), is_returned=bool(is_returned),
    )  # fmt: skip


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
