"""What facts make of the rows of units, assignments, notes and places. Live and replay run the same functions.

The acts check first (``acts``); here everything is plain writing, so that a rebuild needs no rules of its own.
"""

import sqlite3
from typing import Final

from command_center.facts import decode
from command_center.journal import Entry
from command_center.recording import Apply, recorder
from command_center.units.facts import (
    NoteWritten,
    PlaceSet,
    UnitAdded,
    UnitAssigned,
    UnitHeard,
    UnitPositioned,
    UnitReleased,
    UnitRetired,
    UnitStatusSet,
    WelfareDue,
)
from command_center.units.status import UnitStatus

_STEP_COLUMNS: Final = {
    UnitStatus.ACCEPTED: "accepted_at_ms", UnitStatus.EN_ROUTE: "en_route_at_ms", UnitStatus.ON_SCENE: "on_scene_at_ms",
}  # fmt: skip
_ENDED_AS: Final = {
    UnitStatus.CLEAR: "clear",
    UnitStatus.AVAILABLE: "clear",
    UnitStatus.OUT_OF_SERVICE: "out of service",
}


def _added(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, UnitAdded)
    capabilities = ",".join(sorted(set(fact.capabilities)))
    connection.execute(
        "INSERT INTO unit (name, version, agency, capabilities, status, status_at_ms, status_by, status_source, heard_at_ms) "
        "VALUES (?1, 1, ?2, ?3, 'out_of_service', ?4, ?5, 'console', ?4) ON CONFLICT (name) DO UPDATE SET "
        "agency = excluded.agency, capabilities = excluded.capabilities, version = version + 1, is_retired = 0",
        (fact.unit, fact.agency, capabilities, entry.at_ms, entry.actor),
    )


def _retired(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, UnitRetired)
    connection.execute(
        "UPDATE unit SET is_retired = 1, status = 'out_of_service', version = version + 1 WHERE name = ?", (fact.unit,)
    )


def _status_set(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, UnitStatusSet)
    status = UnitStatus(fact.status)
    if column := _STEP_COLUMNS.get(status):
        connection.execute(
            f"UPDATE assignment SET {column} = COALESCE({column}, ?) WHERE unit = ? AND ended_at_ms IS NULL",  # noqa: S608  constants
            (entry.at_ms, fact.unit),
        )
    if not status.is_busy:
        _end(connection, fact.unit, entry.at_ms, "unable" if fact.source == "unable" else _ENDED_AS[status])
    _write_status(connection, entry, fact.unit, status, fact.source, fact.note)


def _assigned(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, UnitAssigned)
    _end(connection, fact.unit, entry.at_ms, "reassigned")
    connection.execute(
        "INSERT INTO assignment (id, unit, incident, assigned_by, assigned_at_ms) VALUES (?, ?, ?, ?, ?)",
        (entry.id, fact.unit, fact.incident, fact.by, entry.at_ms),
    )
    connection.execute("UPDATE incident SET version = version + 1 WHERE id = ?", (fact.incident,))
    _write_status(connection, entry, fact.unit, UnitStatus.ASSIGNED, "console", fact.note)
    connection.execute("UPDATE unit SET incident = ? WHERE name = ?", (fact.incident, fact.unit))


def _released(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, UnitReleased)
    _end(connection, fact.unit, entry.at_ms, "released")
    _write_status(connection, entry, fact.unit, UnitStatus.AVAILABLE, "console", fact.reason)


def _end(connection: sqlite3.Connection, unit: str, at_ms: int, ended_as: str) -> None:
    connection.execute(
        "UPDATE assignment SET ended_at_ms = ?, ended_as = ? WHERE unit = ? AND ended_at_ms IS NULL",
        (at_ms, ended_as, unit),
    )


def _write_status(
    connection: sqlite3.Connection, entry: Entry, unit: str, status: UnitStatus, source: str, note: str
) -> None:
    connection.execute(
        "UPDATE unit SET version = version + 1, status = ?, status_at_ms = ?, status_by = ?, status_source = ?, note = ?, "
        "heard_at_ms = ?, welfare_level = 0, incident = CASE WHEN ? THEN incident END WHERE name = ?",
        (status.value, entry.at_ms, entry.actor, source, note, entry.at_ms, status.is_busy, unit),
    )


def _positioned(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, UnitPositioned)
    connection.execute(
        "UPDATE unit SET lat = ?, lon = ?, accuracy_m = ?, position_at_ms = ?, position_source = ?, heard_at_ms = ?, "
        "welfare_level = 0 WHERE name = ?",
        (float(fact.lat), float(fact.lon), float(fact.accuracy_m), fact.measured_at_ms, fact.source, entry.at_ms,
         fact.unit),
    )  # fmt: skip


def _heard(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, UnitHeard)
    connection.execute("UPDATE unit SET heard_at_ms = ?, welfare_level = 0 WHERE name = ?", (entry.at_ms, fact.unit))


def _welfare_due(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, WelfareDue)
    connection.execute("UPDATE unit SET welfare_level = ? WHERE name = ?", (fact.level, fact.unit))


def _note(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, NoteWritten)
    connection.execute(
        "INSERT INTO incident_note VALUES (?, ?, ?, ?, ?, ?, ?)",
        (entry.id, fact.incident, fact.by, fact.role, fact.text, entry.at_ms, fact.key),
    )


def _place(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, PlaceSet)
    connection.execute("DELETE FROM place WHERE name = ?", (fact.name,))
    if fact.lat is not None and fact.lon is not None:
        connection.execute(
            "INSERT INTO place VALUES (?, ?, ?, ?, ?)", (fact.name, fact.lat, fact.lon, fact.by, entry.at_ms)
        )


APPLIERS: Final[dict[str, Apply]] = {
    "unit-added": _added,
    "unit-retired": _retired,
    "unit-status": _status_set,
    "unit-assigned": _assigned,
    "unit-released": _released,
    "unit-positioned": _positioned,
    "unit-heard": _heard,
    "welfare-due": _welfare_due,
    "note-written": _note,
    "place-set": _place,
}
record: Final = recorder(APPLIERS)
