"""The rows of units as typed values. Reads only; ``appliers`` writes them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from command_center.errors import NotFound
from command_center.units.nearest import Position
from command_center.units.status import UnitStatus

_COLUMNS: Final = (
    "name, version, agency, capabilities, status, status_at_ms, status_by, status_source, note, incident, lat, lon, "
    "accuracy_m, position_at_ms, position_source, heard_at_ms, welfare_level, is_retired"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit as the board shows it. Times are the center's wall clock, ms."""

    name: str
    version: int
    agency: str
    capabilities: tuple[str, ...]
    status: UnitStatus
    status_at_ms: int
    status_by: str
    status_source: str
    note: str
    incident: int | None
    position: Position | None
    accuracy_m: float | None
    position_at_ms: int | None
    position_source: str
    heard_at_ms: int
    welfare_level: int
    is_retired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One unit's work at one incident."""

    id: int
    unit: str
    incident: int
    assigned_by: str
    assigned_at_ms: int
    accepted_at_ms: int | None
    en_route_at_ms: int | None
    on_scene_at_ms: int | None
    ended_at_ms: int | None
    ended_as: str


def units(connection: sqlite3.Connection, *, incident: int | None = None) -> list[Unit]:
    """Everybody on the board, by name; or only those who are assigned to an incident."""
    condition, values = ("AND incident = ?", (incident,)) if incident is not None else ("", ())
    query = f"SELECT {_COLUMNS} FROM unit WHERE NOT is_retired {condition} ORDER BY name"  # noqa: S608  constants
    return [_unit(row) for row in connection.execute(query, values)]


def find(connection: sqlite3.Connection, name: str) -> Unit | None:
    """One unit of the board; None where there is none of this name, or it left."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM unit WHERE name = ? AND NOT is_retired", (name,)).fetchone()  # noqa: S608  a constant
    return None if row is None else _unit(row)


def load(connection: sqlite3.Connection, name: str) -> Unit:
    """One unit of the board.

    Raises:
        NotFound: there is none of this name.
    """
    found = find(connection, name)
    if found is None:
        raise NotFound(f"there is no unit {name[:40]!r} on the board: command-center unit list shows them")
    return found


def assignments(connection: sqlite3.Connection, incident_id: int) -> list[Assignment]:
    """Who was and is assigned to an incident, the first one first."""
    rows = connection.execute(
        "SELECT id, unit, incident, assigned_by, assigned_at_ms, accepted_at_ms, en_route_at_ms, on_scene_at_ms, "
        "ended_at_ms, ended_as FROM assignment WHERE incident = ? ORDER BY id",
        (incident_id,),
    )
    return [Assignment(id=r[0], unit=r[1], incident=r[2], assigned_by=r[3], assigned_at_ms=r[4], accepted_at_ms=r[5],
                       en_route_at_ms=r[6], on_scene_at_ms=r[7], ended_at_ms=r[8], ended_as=r[9]) for r in rows]  # fmt: skip


def position_of(connection: sqlite3.Connection, *, node: str, site: str, camera: str) -> Position | None:
    """Where something was seen, as exactly as anybody has said: the camera, else its node, else its site."""
    for name in (f"{node}/{camera}", node, site):
        row = connection.execute("SELECT lat, lon FROM place WHERE name = ?", (name,)).fetchone()
        if row is not None:
            return Position(lat=row[0], lon=row[1])
    return None


def _unit(row: Sequence[object]) -> Unit:
    (name, version, agency, capabilities, status, status_at_ms, status_by, source, note, incident, lat, lon, accuracy_m,
     position_at_ms, position_source, heard_at_ms, welfare_level, is_retired) = row  # fmt: skip
    return Unit(
        name=str(name), version=_int(version), agency=str(agency), capabilities=_split(str(capabilities)),
        status=UnitStatus(status), status_at_ms=_int(status_at_ms), status_by=str(status_by),
        status_source=str(source), note=str(note), incident=None if incident is None else _int(incident),
        position=Position(lat=lat, lon=lon) if isinstance(lat, float) and isinstance(lon, float) else None,
        accuracy_m=accuracy_m if isinstance(accuracy_m, float) else None,
        position_at_ms=None if position_at_ms is None else _int(position_at_ms), position_source=str(position_source),
        heard_at_ms=_int(heard_at_ms), welfare_level=_int(welfare_level), is_retired=bool(is_retired),
    )  # fmt: skip


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
